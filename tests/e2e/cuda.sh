#!/usr/bin/env bash
# A program built for GPUs, unmodified, under the virtual driver, which it finds as libcuda.so.1: it computes what it
# computes on the CPU, whatever the order that the driver leaves open; and every failure of a driver is said in a line.
. "$(dirname "$0")/lib.sh"
export XDG_CACHE_HOME=$PWD/${BUILD:-build}/cache # NVRTC's results stay from run to run
f=$fixtures/cnn_small
why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "programs on the virtual device" "$why"
    finish
fi
mkdir "$work/virtual" "$work/none"
ln -s "$PWD/${BUILD:-build}/libsinter_cuda_virtual.so" "$work/virtual/libcuda.so.1"
: >"$work/none/libcuda.so.1" # no library, ahead of any that the machine has
virtual() { LD_LIBRARY_PATH=$work/virtual "$@"; }
virtual_as() { # VARIABLES COMMAND...
    local variables=$1
    shift
    # shellcheck disable=SC2086
    virtual env $variables "$@"
}
none() { LD_LIBRARY_PATH=$work/none "$@"; }

must "builds" "$sinter" build "$f.yaml" --target=cuda:sm_80 --no-variants -o "$work/p"
must "builds for another architecture" "$sinter" build "$f.yaml" --target=cuda:sm_90 --no-variants --infer-only -o "$work/p90"
steps=("$work/p" step --input "$f.input.safetensors" --target "$f.target.safetensors" --weights "$f.init.safetensors" --steps 20)
out=("$work/p" run --input "$f.input.safetensors" --weights "$f.init.safetensors")
save() { echo --save-grads "$work/$1.grads" --save-weights "$work/$1.weights" --log "$work/$1.jsonl"; }

# The same numbers.
# shellcheck disable=SC2046
{
    must "20 steps on the CPU" "${steps[@]}" --device cpu $(save cpu)
    must "20 steps on the virtual device" virtual_as "SINTER_VIRTUAL_CHECK=1 SINTER_VIRTUAL_PROFILE=$work/profile.json" \
        "${steps[@]}" --device cuda $(save gpu)
    for seed in 1 2 3; do
        check "in another order ($seed)" virtual_as SINTER_VIRTUAL_SEED=$seed "${steps[@]}" --device cuda $(save "order$seed")
        same "gives the same bytes ($seed)" "$work/gpu.weights" "$work/order$seed.weights"
    done
    check "20 steps on a newer device, from PTX" virtual_as SINTER_VIRTUAL_DEVICE=sm_120 "${steps[@]}" --device cuda $(save newer)
}
same "gives the same bytes" "$work/gpu.weights" "$work/newer.weights"
check "losses of the CPU" "$compare" 1e-5 "$work/cpu.jsonl" "$work/gpu.jsonl"
check "gradients of the CPU" "$compare" 1e-5 "$work/cpu.grads" "$work/gpu.grads"
check "weights of the CPU" "$compare" 1e-5 "$work/cpu.weights" "$work/gpu.weights"
check "inference on the CPU" "${out[@]}" --device cpu --output "$work/cpu.out"
check "inference on the virtual device" virtual "${out[@]}" --device cuda:0 --output "$work/gpu.out"
check "gives the CPU's output" "$compare" 1e-5 "$work/cpu.out" "$work/gpu.out"
check "cuda:virtual needs no libcuda.so.1" env SINTER_CUDA_VIRTUAL="$work/virtual/libcuda.so.1" "${out[@]}" \
    --device cuda:virtual --output "$work/named.out"
same "and gives the same bytes" "$work/gpu.out" "$work/named.out"

# What the profile says of the 20 steps.
check "a launch of a graph for each step" test "$(number "$work/profile.json" graph_launches)" = 20
check "nothing was left to run" test "$(number "$work/profile.json" never_run)" = 0
check "every kernel stores" sh -c "! grep -q '\"store_bytes\": 0,' '$work/profile.json'"

# Training on a data set, with the next batch on its way while a step runs.
must "builds" "$sinter" build tests/e2e/mnist.yaml --target=cuda:sm_80 --no-variants -o "$work/mnist"
train() { "$work/mnist" train --data "$fashion" --limit 320 --epochs 2 --seed 7 --device "$@"; }
must "trains on the CPU" train cpu --output-dir "$work/cpu"
must "trains on the virtual device" virtual train auto --output-dir "$work/gpu"
check "the same losses" "$compare" 1e-4 "$work/cpu/metrics.jsonl" "$work/gpu/metrics.jsonl"
check "the same weights" "$compare" 1e-4 "$work/cpu/weights/last.safetensors" "$work/gpu/weights/last.safetensors"
check "trains in another order" virtual_as SINTER_VIRTUAL_SEED=5 "$work/mnist" train --data "$fashion" --limit 320 --epochs 2 \
    --seed 7 --device auto --output-dir "$work/order"
same "with the same bytes" "$work/gpu/weights/last.safetensors" "$work/order/weights/last.safetensors"
check "stops on the device" virtual train cuda --output-dir "$work/mixed" --max-steps 6
check "goes on on the CPU" train cpu --output-dir "$work/mixed" --resume auto
check "the same weights again" "$compare" 1e-4 "$work/cpu/weights/last.safetensors" "$work/mixed/weights/last.safetensors"
check "evaluates there" virtual "$work/mnist" eval --data "$fashion" --limit 100 --split test --device cuda \
    --weights "$work/gpu/weights/last.safetensors"

# What can be wrong with a driver.
refuses "no driver" 5 'error\[G001\].*no CUDA driver' none "${out[@]}" --device cuda --output "$work/q"
refuses "no driver, but a CPU" 0 'no CUDA driver.*running on the CPU' none "${out[@]}" --device auto --output "$work/auto.out"
same "which computes as ever" "$work/cpu.out" "$work/auto.out"
refuses "no device" 5 'error\[G003\].*no CUDA device' virtual_as SINTER_VIRTUAL_FAULT=devices=0 "${out[@]}" --device cuda --output "$work/q"
refuses "another device" 5 'error\[G003\].*no CUDA device 1' virtual "${out[@]}" --device cuda:1 --output "$work/q"
refuses "an old driver" 5 'error\[G00.\].*12\.[0-9]|error\[G00.\].*11\.' virtual_as SINTER_VIRTUAL_FAULT=driver=11020 "${out[@]}" \
    --device cuda --output "$work/q"
refuses "an image that the device does not take" 5 'error\[G00.\].*sm_90' virtual "$work/p90" run --device cuda \
    --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/q"
refuses "a kernel that fails" 5 'error\[G006\].*kernel failed' virtual_as SINTER_VIRTUAL_FAULT=launch@3 "${out[@]}" --device cuda --output "$work/q"
check "nothing was written" test ! -e "$work/q"
for n in 1 2 3 4; do
    refuses "allocation $n fails" 6 'error\[E003\].*GiB needed, .* free' virtual_as SINTER_VIRTUAL_FAULT=oom@$n "${steps[@]}" --device cuda
done
finish
