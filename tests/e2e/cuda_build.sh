#!/usr/bin/env bash
# Building for GPUs: the program holds images for every architecture and runs on the CPU as before; kernels beside OUT
# on demand; the cache gives the same bytes, and a damaged entry is written again.
. "$(dirname "$0")/lib.sh"
f=$fixtures/cnn_small
build() { "$sinter" build "$f.yaml" --infer-only --no-variants "$@"; }

refuses "unknown architecture" 2 "error\[C001\].*cuda:sm_91.*sm_90" build -o "$work/q" --target=cuda:sm_91
refuses "unknown kind of output" 2 "error\[C001\].*'cubim'.*cubin" build -o "$work/q" --target=cuda --emit=cubim
refuses "kernels of no GPU" 2 'error\[C001\].*--target=cuda' build -o "$work/q" --emit=cubin
check "nothing was written" test ! -e "$work/q"

why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "builds for GPUs" "$why"
    finish
fi
export XDG_CACHE_HOME=$work/cache
must "builds for two architectures" build --target=cuda:sm_90,sm_80 -o "$work/a"
check "info names the images" grep -q 'cuda .*cubin sm_80 sm_90, PTX sm_80' <("$work/a" info)
check "info lists both devices' programs" sh -c "'$work/a' info | grep -q '^cuda .*infer' && '$work/a' info | grep -q '^cpu .*infer'"
if [ "${BUILD:-build}" = build ]; then
    check "ldd shows only the C library" sh -c "! ldd '$work/a' | grep -vE 'linux-vdso|ld-linux|lib(c|m|pthread)\.so'"
else
    skip "ldd shows only the C library" "the sanitizers' libraries are beside it"
fi

entries() { find "$XDG_CACHE_HOME/sinter" -type f "$@"; }
check "the cache holds an entry for each" test "$(entries | wc -l)" = 2
check "its entries are private" test -z "$(entries -perm /077)"
must "builds from the cache" build --target=cuda:sm_80,sm_90 -o "$work/b"
same "which gives the same bytes" "$work/a" "$work/b"
entry=$(entries | sort | head -n 1)
printf 'damaged' | dd of="$entry" bs=1 seek=4000 conv=notrunc status=none
must "builds over a damaged entry" build --target=cuda:sm_80,sm_90 -o "$work/c"
same "which gives the same bytes too" "$work/a" "$work/c"
check "and repairs the entry" sh -c "! grep -q damaged '$entry'"
must "builds without a cache" env HOME=/nowhere XDG_CACHE_HOME= "$sinter" build "$f.yaml" --infer-only --target=cuda:sm_80 -o "$work/d"
check "a target is the architectures asked for" grep -q 'cuda .*cubin sm_80, PTX sm_80' <("$work/d" info)

must "writes kernels beside OUT" build --target=cuda:sm_80,sm_90 --emit=cuda,ptx,cubin -o "$work/k"
check "and no program" test ! -e "$work/k"
for file in k.cu k.sm_80.ptx k.sm_80.cubin k.sm_90.ptx k.sm_90.cubin; do
    check "$file was written" test -s "$work/$file"
done
check "the source is CUDA C" grep -q '__global__' "$work/k.cu"
check "a PTX of its architecture" grep -q '^.target sm_90' "$work/k.sm_90.ptx"
must "builds for one capability alone" build --target=cuda:sm_90a -o "$work/only"
only() { SINTER_CUDA_VIRTUAL=$PWD/${BUILD:-build}/libsinter_cuda_virtual.so SINTER_VIRTUAL_DEVICE=$1 "$work/only" run --device cuda:virtual \
    --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/q.safetensors"; }
check "info says so" grep -q 'cuda .*cubin sm_90a, PTX sm_90a' <("$work/only" info)
refuses "which is not another device's" 5 'error\[G004\].*code for sm_90a, not for' only sm_120
check "but runs on its own" only sm_90
check "a stage of its own in dumps" sh -c "'$sinter' build '$f.yaml' --infer-only --target=cuda -o '$work/n' --stop-after=cuda --dump=cuda | grep -q __global__"
check "a stopped build leaves no program" test ! -e "$work/n"

# No driver: said in one line. An empty file stands for one that is not there.
mkdir "$work/none" && : >"$work/none/libcuda.so.1"
a() { env LD_LIBRARY_PATH="$work/none" "$work/a" run --input "$f.input.safetensors" --weights "$f.init.safetensors" \
    --output "$work/device.safetensors" "$@"; }
refuses "no driver" 5 '^error\[G001\]: no CUDA driver \(.*libcuda.so.1.*\)$' a --device cuda
check "in one line" test "$(wc -l <"$work/said")" = 1
refuses "no virtual device" 5 '^error\[G001\]: no virtual CUDA device' env SINTER_CUDA_VIRTUAL="$work/none/libcuda.so.1" \
    "$work/a" run --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/q" --device cuda:virtual
refuses "no such word" 2 'error\[C002\].*auto, cpu, cuda' a --device gpu
mkdir "$work/old" && cc -shared -fPIC -o "$work/old/libcuda.so.1" -x c - <<'OLD'
int cuInit(unsigned flags) { return (int)flags; }
int cuDriverGetVersion(int *version) { *version = 10020; return 0; }
OLD
refuses "an old driver" 5 '^error\[G002\]: the CUDA driver is too old: it is for CUDA 10.2, programs need CUDA 11.4' \
    env LD_LIBRARY_PATH="$work/old" "$work/a" run --input "$f.input.safetensors" --weights "$f.init.safetensors" \
    --output "$work/q" --device cuda
check "by itself it runs on the CPU" sh -c "env LD_LIBRARY_PATH='$work/none' '$work/a' run --input '$f.input.safetensors' \
    --weights '$f.init.safetensors' --output '$work/device.safetensors' 2>'$work/log'"
check "and says so" grep -q '^no CUDA driver .*: running on the CPU$' "$work/log"
check "in one line too" test "$(wc -l <"$work/log")" = 1
check "on request it runs there" a --device cpu
check "and says nothing" test "$(a --device cpu 2>&1 | wc -c)" = 0

# On the CPU it is the program that it was.
must "builds for the CPU" build -o "$work/cpu"
for program in a cpu; do
    check "$program runs" "$work/$program" run --input "$f.input.safetensors" --weights "$f.init.safetensors" \
        --output "$work/$program.output.safetensors"
done
refuses "a program without GPU kernels" 5 'error\[G004\].*built for the CPU alone' "$work/cpu" run \
    --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/q" --device cuda
same "the CPU's programs compute the same" "$work/a.output.safetensors" "$work/cpu.output.safetensors"
finish
