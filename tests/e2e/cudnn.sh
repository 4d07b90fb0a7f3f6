#!/usr/bin/env bash
# --provider: convolutions by cuDNN where it is, by kernels of ours where it is not. It runs on a cuDNN of
# the tests (tests/cudnn/fake.c), so that NVIDIA's is not needed.
. "$(dirname "$0")/lib.sh"
f=$fixtures/cnn_small
fake=$PWD/${BUILD:-build}/tests/libcudnn_fake.so
build() { env SINTER_CUDNN="$fake" "$sinter" build "$f.yaml" --target=cuda "$@"; }
without() { env SINTER_CUDNN="$work/none.so" "$sinter" build "$f.yaml" --target=cuda "$@"; }

refuses "unknown provider" 2 "error\[C001\].*'cudn'.*did you mean 'cudnn'" build -o "$work/q" --provider cudn
refuses "a provider for the CPU" 2 'error\[C001\].*--target=cuda' "$sinter" build "$f.yaml" --provider cudnn -o "$work/q"
refuses "a baseline for the CPU" 2 'error\[C001\].*--target=cuda' "$sinter" build "$f.yaml" --baseline cudnn -o "$work/q"
refuses "unknown baseline" 2 "error\[C001\].*'cudn'.*did you mean 'cudnn'" build -o "$work/q" --baseline cudn
refuses "no cuDNN for the baseline" 5 'error: --baseline cudnn: SINTER_CUDNN names no library' without -o "$work/q" \
    --baseline cudnn
refuses "no manifest of steps of a library" 2 'error\[C001\].*kernels of ours alone' build --provider cudnn \
    --emit=manifest -o "$work/q"
refuses "no cuDNN" 5 'error: --provider cudnn: SINTER_CUDNN names no library' without -o "$work/q" --provider cudnn
check "in one line" test "$(wc -l <"$work/said")" = 1
refuses "an old cuDNN" 5 'error: .*older than cuDNN 9.8' env FAKE_CUDNN_VERSION=90700 SINTER_CUDNN="$fake" \
    "$sinter" build "$f.yaml" --target=cuda -o "$work/q" --provider cudnn
check "nothing was written" test ! -e "$work/q"

explain() { build --stop-after=loop --explain-fusion "$@"; }
explain --provider cudnn >"$work/explained"
check "says what cuDNN computes" grep -qE '^cuDNN 9.19.0 computes [1-9][0-9]* of [1-9][0-9]* convolutions; [0-9]+ copies' "$work/explained"
check "forward, with what follows it" grep -qE '^ *[0-9]+  convolution' "$work/explained"
check "and backward" grep -qE '^ *[0-9]+  gradient for the weights ' "$work/explained"
check "says why it does not do more" grep -q '^elementwise ends by kernels of ours, because of cuDNN$' "$work/explained"
check "auto takes it, too" cmp "$work/explained" <(explain --provider auto)
without --stop-after=loop --explain-fusion --provider auto >"$work/explained"
check "auto says why it is not there" grep -q '^convolutions by kernels of ours: SINTER_CUDNN names' "$work/explained"
check "what pools where it accumulates stays ours" grep -q 'it pools where it accumulates (--no-fuse=pool' \
    <(env SINTER_CUDNN="$fake" "$sinter" build models/cnn.yaml --target=cuda --provider cudnn --stop-after=loop \
        --explain-fusion --infer-only --no-variants)

why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "programs with steps of cuDNN's" "$why"
    finish
fi
export XDG_CACHE_HOME=$work/cache
must "builds a program" build --provider cudnn -o "$work/a"
must "builds it again" build --provider cudnn -o "$work/b"
same "with the same bytes" "$work/a" "$work/b"
must "builds without cuDNN" without --provider auto --no-variants --infer-only -o "$work/c"
must "builds as usual" without --no-variants --infer-only -o "$work/d"
same "which is the same" "$work/c" "$work/d"
check "it runs on the CPU" "$work/a" run --input "$f.input.safetensors" --weights "$f.init.safetensors" \
    --output "$work/cpu.safetensors" --device cpu

# The same program on the virtual device: cuDNN's steps in the order of the stream, in graphs of launches.
virtual=$PWD/${BUILD:-build}/libsinter_cuda_virtual.so
gpu() { # VERB... with variables in front
    env SINTER_CUDA_VIRTUAL="$virtual" SINTER_CUDNN="$fake" FAKE_CUDNN_DRIVER="$virtual" "$@"
}
inputs=(--input "$f.input.safetensors" --weights "$f.init.safetensors" --device cuda:virtual)
check "runs on a GPU" gpu "$work/a" run "${inputs[@]}" --output "$work/gpu.safetensors"
check "and computes what the CPU does" "$compare" 1e-5 "$work/cpu.safetensors" "$work/gpu.safetensors"
check "trains there" gpu "$work/a" step "${inputs[@]}" --target "$f.target.safetensors" --steps 10 --log "$work/log.jsonl" \
    --save-weights "$work/weights.safetensors"
check "with PyTorch's losses" "$compare" 1e-5 "$f.sgd.jsonl" "$work/log.jsonl"
check "and weights" "$compare" 1e-4 "$f.sgd.safetensors" "$work/weights.safetensors"
check "one launch after the other" gpu CUDA_LAUNCH_BLOCKING=1 "$work/a" run "${inputs[@]}" --output "$work/one.safetensors"
same "it computes the same bits" "$work/gpu.safetensors" "$work/one.safetensors"
check "plans again for another cuDNN" gpu FAKE_CUDNN_VERSION=92000 "$work/a" run "${inputs[@]}" --output "$work/other.safetensors"
same "and computes the same bits" "$work/gpu.safetensors" "$work/other.safetensors"

# In 16 bits cuDNN computes what has them throughout, with sums in float32.
half=$fixtures/ops_small
for precision in fp16 bf16; do
    env SINTER_CUDNN="$fake" "$sinter" build "$half.yaml" --target=cuda --provider cudnn --precision $precision \
        --no-variants --explain-fusion -o "$work/$precision" >"$work/explained" 2>&1
    check "$precision: builds" test -x "$work/$precision"
    check "$precision: says what cuDNN computes" grep -qE '^cuDNN 9.19.0 computes 3 of 4 convolutions' "$work/explained"
    check "$precision: and what not" grep -q 'it has no engine for that (16 bits beside float32)' "$work/explained"
    check "$precision: runs" gpu "$work/$precision" run --input "$half.input.safetensors" --weights "$half.init.safetensors" \
        --device cuda:virtual --output "$work/$precision.safetensors"
    check "$precision: trains" gpu "$work/$precision" step --input "$half.input.safetensors" --device cuda:virtual \
        --target "$half.target.safetensors" --weights "$half.init.safetensors" --steps 1 --log "$work/$precision.jsonl"
done
check "fp16: PyTorch's numbers" "$compare" 2e-3 "$half.output.safetensors" "$work/fp16.safetensors"
check "bf16: PyTorch's numbers" "$compare" 1.6e-2 "$half.output.safetensors" "$work/bf16.safetensors"
check "every kernel and every step of cuDNN's" gpu "$sinter" verify "$f.yaml" --target=cuda --provider cudnn
check "and in fp16" gpu "$sinter" verify "$half.yaml" --target=cuda --provider cudnn --precision fp16
refuses "verifies without a device of cuDNN's" 5 "cudnn convolution.*no device" \
    gpu FAKE_CUDNN_NO_DEVICE=1 "$sinter" verify "$f.yaml" --target=cuda --provider cudnn

# Fused programs of ours beside unfused ones of cuDNN's.
must "builds a baseline" build --baseline cudnn -o "$work/e"
must "bench compares with cuDNN" gpu "$work/e" bench --device cuda:virtual --phase infer --duration 0.1
cp "$work/said" "$work/bench"
check "whose steps it counts" grep -q '^  unfused: [1-9][0-9]* of its steps are cuDNN' "$work/bench"
check "and there alone" sh -c '! grep "^  fused: .*cuDNN" "$1"' - "$work/bench"
refuses "no cuDNN at run time" 5 "error\[G007\]: this program's convolutions are cuDNN's: SINTER_CUDNN" \
    gpu SINTER_CUDNN="$work/none.so" "$work/a" run "${inputs[@]}" --output "$work/q"
refuses "a cuDNN that finds no device" 5 "error\[G007\]: cuDNN, .*convolution.*no device" \
    gpu FAKE_CUDNN_NO_DEVICE=1 "$work/a" run "${inputs[@]}" --output "$work/q"
check "nothing was written" test ! -e "$work/q"
finish
