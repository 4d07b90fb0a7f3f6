# sinter: a model description becomes an executable that trains.
#   make          builds build/sinter and build/libsinter_rt.a
#   make demo     installs what is missing, builds, trains a CNN on Fashion-MNIST
#   make test     installs what is missing, runs every test
# No list of files stands here: a new .c file in a folder is built and a new test is run.
# Nothing is asked of gcc or llvm-config while this file is read, so that `deps` works where neither is.

BUILD       := build$(if $(SAN),/san)
CC           = gcc
LLVM_CONFIG ?= llvm-config-19
CUDA_HOME   ?= /usr/local/cuda
PREFIX      ?= /usr/local
PACKAGES    := gcc g++ libc6-dev binutils llvm-19-dev libyaml-dev libstb-dev zlib1g-dev libjansson-dev \
               libcmocka-dev libjpeg62-turbo-dev dataset-fashion-mnist libcairo2-dev libfontconfig-dev fonts-dejavu-core

WARN        := -Wall -Wextra -Wformat -Werror=format-security -Werror=implicit-function-declaration
STD         := -std=c11 -D_GNU_SOURCE
# The runtime ends up in every built program, which reads untrusted files.
HARDEN      := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
               -fcf-protection=full -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr
SANITIZE    := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifdef SAN
OPT         := -O1 -g $(SANITIZE)
HARDEN      :=
LDFLAGS     += $(SANITIZE)
DEFINES     := -DSINTER_SAN='"-fsanitize=address,undefined"' # link.c passes it on to the built programs
else
OPT         := -O2
LDFLAGS     += -Wl,--as-needed
endif
CFLAGS      += $(STD) $(OPT) $(WARN) $(DEFINES)
RT_CFLAGS    = $(CFLAGS) $(RT_OPT) $(RT_UNWIND) $(HARDEN) -fPIE -ffunction-sections -fdata-sections -Iruntime

Q            = $(if $(V),,@)

# Asked once, and only when a recipe needs it.
LLVM_INC     = $(eval LLVM_INC := $$(shell $(LLVM_CONFIG) --includedir))$(LLVM_INC)
LLVM_LIBS    = $(eval LLVM_LIBS := $$(shell $(LLVM_CONFIG) --ldflags --libs))$(LLVM_LIBS)
LIBS         = $(LLVM_LIBS) -lyaml -ljansson -lcairo -lfontconfig -ldl -lm -pthread

# Nobody unwinds a program's stack but sanitizers.
RT_UNWIND    = $(if $(SAN),,-fno-asynchronous-unwind-tables)
# The runtime is small before it is fast, but for what touches every pixel and every task.
RT_OPT       = $(if $(SAN),,-Os)
$(addprefix $(BUILD)/obj/runtime/,image_resize.o image_png.o image_jpeg.o image_jpeg_scan.o tensor.o thread.o exec.o crc32.o \
    data/transform.o tsne.o safetensors_values.o): RT_OPT = $(if $(SAN),,-O2)
$(BUILD)/obj/runtime/image.o: RT_OPT = $(if $(SAN),,-Os) # stb_image; what trains on JPEGs has image_turbo.c
$(addprefix $(BUILD)/obj/runtime/data/transform_,canvas.o warp.o color.o blur.o): RT_OPT = $(if $(SAN),,-O2)

objects      = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
COMPILER    := $(call objects,$(wildcard compiler/*.c compiler/*/*.c))
RUNTIME     := $(call objects,$(wildcard runtime/*.c runtime/*/*.c cuda/*.c))
LIBRARY     := $(filter-out %/compiler/main.o,$(COMPILER))
VIRTUAL     := $(call objects,$(wildcard cuda/virtual/*.c))
PTX         := $(filter %/ptx.o $(BUILD)/obj/cuda/virtual/ptx_%,$(VIRTUAL))
# Tests: test_*.c stand on the compiler, rt_test_*.c on the runtime, each a program; ops.c and ladder.c beside
# tests/run are programs as well. The other files of tests/unit and tests/simt help: rt_*.c and fake_*.c the runtime's
# tests. What tests/simt loads calls back into the program, hence -rdynamic.
UNIT        := $(wildcard tests/unit/test_*.c tests/*.c)
RT_UNIT     := $(wildcard tests/unit/rt_test_*.c)
RT_HELP     := $(filter-out $(RT_UNIT),$(wildcard tests/unit/rt_*.c tests/unit/fake_*.c))
HELP        := $(filter-out $(UNIT) $(RT_UNIT) $(RT_HELP),$(wildcard tests/unit/*.c tests/simt/*.c) \
    tests/cudnn/naive_conv.c)
TOOLS       := $(wildcard tests/e2e/*.c)
programs     = $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(1)))

all: $(BUILD)/sinter $(BUILD)/libsinter_rt.a $(BUILD)/libsinter_cuda_virtual.so

$(BUILD)/sinter: $(COMPILER) $(BUILD)/libsinter_rt.a
	@echo '  LD  $@'
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# A built program needs the C library and nothing else: Debian's libraries go in as well, without tables for unwinding
# and without what runtime/ has smaller (crc32.c).
RT_LIBS      = z jansson
RT_ARCHIVES  = $(patsubst %,$(BUILD)/lib/lib%.a,$(RT_LIBS))
$(BUILD)/lib/lib%.a: Makefile
	@mkdir -p $(@D)
	$Qobjcopy $(if $(SAN),,-R .eh_frame -R .rela.eh_frame) "$$($(CC) -print-file-name=lib$*.a)" $@
	$Q$(if $(filter z,$*),ar d $@ crc32.o)

JPEG := $(wildcard /usr/lib/*/libjpeg.a) # optional: runtime/image_turbo.c

$(BUILD)/libsinter_rt.a: $(RUNTIME) $(RT_ARCHIVES)
	@echo '  AR  $@'
	@rm -f $@
	$Qprintf 'create %s\n$(foreach o,$(RUNTIME),addmod $(o)\n)$(foreach l,$(RT_ARCHIVES),addlib $(l)\n)$(foreach l,$(JPEG),addlib $(l)\n)save\nend\n' $@ | ar -M

# A CUDA driver of ours: named libcuda.so.1 and found before another, it is the one that programs load.
$(BUILD)/libsinter_cuda_virtual.so: $(VIRTUAL)
	@echo '  LD  $@'
	$Q$(CC) $(LDFLAGS) -shared -Wl,-soname,libcuda.so.1 -Wl,-z,defs -o $@ $^ -lm -pthread

$(BUILD)/obj/cuda/virtual/%.o: cuda/virtual/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

# Lanes are vectorised; a register is read under more than one type.
$(PTX): CFLAGS += -fno-strict-aliasing -fno-math-errno -fno-trapping-math
$(filter %/ptx_memory.o %/ptx_lanes_any.o %/ptx_lanes_avx2.o %/ptx_matrix.o,$(PTX)): CFLAGS += $(if $(SAN),,-O3)

$(BUILD)/obj/compiler/llvm/%.o: CPPFLAGS += -isystem $(LLVM_INC)
$(BUILD)/obj/compiler/%.o: compiler/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -Icompiler -I. -MMD -MP -c -o $@ $<

# Holds files that no #include names.
$(BUILD)/obj/compiler/nvrtc/text.o: $(wildcard templates/kernels/*.cu cuda/*.cuh)

$(BUILD)/obj/runtime/%.o: runtime/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(RT_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/test_virtual: $(filter-out $(PTX),$(VIRTUAL))
$(BUILD)/obj/tests/unit/gpu_run.o $(BUILD)/obj/compiler/verify_device.o: CPPFLAGS += -Iruntime
$(BUILD)/obj/tests/unit/test_virtual_abi.o: CPPFLAGS += -idirafter $(CUDA_HOME)/include

$(BUILD)/obj/cuda/%.o: cuda/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(RT_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -Icompiler -I. -Itests -Itests/unit -MMD -MP -c -o $@ $<

$(call objects,$(RT_UNIT) $(RT_HELP)): $(BUILD)/obj/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -Iruntime -Itests -Itests/unit -MMD -MP -c -o $@ $<

$(call programs,$(filter tests/unit/%,$(UNIT))): $(BUILD)/tests/%: \
    $(BUILD)/obj/tests/unit/%.o $(call objects,$(HELP)) $(LIBRARY) $(PTX) $(BUILD)/libsinter_rt.a
	@mkdir -p $(@D)
	@echo '  LD  $@'
	$Q$(CC) $(LDFLAGS) -rdynamic -o $@ $^ -lcmocka $(LIBS)

$(call programs,$(filter-out tests/unit/%,$(UNIT))): $(BUILD)/tests/%: \
    $(BUILD)/obj/tests/%.o $(call objects,$(HELP)) $(LIBRARY) $(PTX) $(BUILD)/libsinter_rt.a
	@mkdir -p $(@D)
	@echo '  LD  $@'
	$Q$(CC) $(LDFLAGS) -rdynamic -o $@ $^ -lcmocka $(LIBS)

$(call programs,$(RT_UNIT)): $(BUILD)/tests/%: \
    $(BUILD)/obj/tests/unit/%.o $(call objects,$(RT_HELP)) $(filter-out %/runtime/main.o,$(RUNTIME))
	@mkdir -p $(@D)
	@echo '  LD  $@'
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(JPEG) -lcmocka -lz -ljansson -lm -pthread

$(call programs,$(TOOLS)): $(BUILD)/tests/%: tests/e2e/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC  $<'
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< -ljansson -lz -lm

# A cuDNN that computes naively, for machines with no GPU.
$(BUILD)/tests/libcudnn_fake.so: $(wildcard tests/cudnn/*.[ch]) $(wildcard cuda/cudnn*) Makefile
	@mkdir -p $(@D)
	@echo '  LD  $@'
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -I. -Icuda -Itests -fPIC -shared -o $@ tests/cudnn/fake.c tests/cudnn/naive_conv.c \
	    cuda/cudnn_graph.c cuda/cudnn_api.c -Wl,-Bsymbolic -lm

check-programs: $(call programs,$(UNIT) $(RT_UNIT) $(TOOLS)) $(BUILD)/tests/libcudnn_fake.so

# ---- what people call ----

JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$$(nproc))

deps:
	@.ci/deps $(PACKAGES)

demo: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@BUILD=$(BUILD) examples/demo.sh

test-programs: deps
	@$(MAKE) --no-print-directory $(JOBS) all check-programs

test: test-programs
	@BUILD=$(BUILD) tests/run

golden: all
	@BUILD=$(BUILD) tests/golden.sh --rewrite
	@sh tests/errors/run.sh --write $(BUILD)/sinter

check-op: all $(BUILD)/tests/ops
	@test -n "$(OP)" || { echo 'usage: make check-op OP=ReLU' >&2; exit 2; }
	OP=$(OP) $(BUILD)/tests/ops

gpu-check: all check-programs
	@BUILD=$(BUILD) tests/gpu_check.sh --device

peers: all
	@tests/peers/venv.sh $(BUILD)/peers/venv
	@BUILD=$(BUILD) $(BUILD)/peers/venv/bin/python -B tests/peers/run.py $(if $(ROWS),--rows $(ROWS)) \
	    $(if $(THREADS),--threads $(THREADS)) $(if $(ROUNDS),--rounds $(ROUNDS))

check-examples: all
	@for f in examples/*/run.sh; do BUILD=$(BUILD) $$f || exit; done

DEST = $(DESTDIR)$(PREFIX)
install: all
	install -d $(DEST)/bin $(DEST)/lib/sinter $(DEST)/share/sinter
	install -m 755 $(BUILD)/sinter $(DEST)/bin/sinter
	install -m 644 $(BUILD)/libsinter_rt.a $(DEST)/lib/sinter/libsinter_rt.a
	install -m 755 $(BUILD)/libsinter_cuda_virtual.so $(DEST)/lib/sinter/libsinter_cuda_virtual.so
	cp -R $(wildcard models templates) $(DEST)/share/sinter/

clean:
	rm -rf build

help:
	@echo 'make             build the compiler: build/sinter'
	@echo 'make demo        install what is missing, build, train a CNN on Fashion-MNIST, evaluate'
	@echo 'make test        install what is missing, run every test (SAN=1: under ASan and UBSan)'
	@echo 'make check-op OP=ReLU    the tests of one operator'
	@echo 'make gpu-check   on a machine with a GPU: operators, models, programs, compute-sanitizer, times'
	@echo 'make peers ROWS= THREADS= ROUNDS=   times beside PyTorch, ONNX Runtime, OpenVINO, ncnn (needs Python)'
	@echo 'make check-examples      runs examples/*/run.sh'
	@echo 'make golden      write tests/golden/*.STAGE and tests/errors/*.err again from what the compiler does now'
	@echo 'make install     PREFIX=/usr/local DESTDIR='
	@echo 'make deps, make clean'

.PHONY: all deps demo test test-programs golden check-op gpu-check peers check-examples check-programs install clean help
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
