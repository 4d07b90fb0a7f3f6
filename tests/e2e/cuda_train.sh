#!/usr/bin/env bash
# Programs for GPUs on the virtual device, which runs the PTX that is in them: what they compute is what the CPU's
# programs compute and what PyTorch computed; training resumes; every way to fail says so in a line.
. "$(dirname "$0")/lib.sh"
f=$fixtures/cnn_small
why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "programs on the virtual device" "$why"
    finish
fi
export SINTER_CUDA_VIRTUAL=$PWD/${BUILD:-build}/libsinter_cuda_virtual.so

# A CNN: twenty steps, evaluation, prediction.
must "models/cnn.yaml builds" "$sinter" build models/cnn.yaml --set width=8 --batch 8 --no-variants --target=cuda -o "$work/cnn"
train() { # DIR OPTION...
    local dir=$1
    shift
    "$work/cnn" train --data "$fashion" --limit 160 --epochs 1 --seed 7 --output-dir "$work/$dir" "$@"
}
near() { # FILE FILE KEY
    awk -v a="$(number "$1" "$3")" -v b="$(number "$2" "$3")" 'BEGIN { print a, b; d = a - b; exit !(a != "" && d * d <= 1e-8) }'
}
must "trains on the CPU" train cpu --device cpu
must "trains on the device" train gpu --device cuda:virtual
check "twenty steps" grep -q '"step": 20,' "$work/gpu/metrics.jsonl"
for key in train/loss train/accuracy val/loss val/accuracy; do
    check "the same $key" near "$work/cpu/metrics.jsonl" "$work/gpu/metrics.jsonl" $key
done
check "the same weights" "$compare" 1e-4 "$work/cpu/weights/last.safetensors" "$work/gpu/weights/last.safetensors"
check "the run knows its device" grep -q '"device": "sinter virtual sm_80"' "$work/gpu/env.json"
must "stops in the epoch" train resumed --device cuda:virtual --max-steps 11
cp -R "$work/resumed" "$work/moved"
must "resumes" train resumed --device cuda:virtual --resume auto
same "resumed is not resumed" "$work/gpu/weights/last.safetensors" "$work/resumed/weights/last.safetensors"
check "resumes on the CPU" train moved --device cpu --resume auto
check "which comes to the same weights" "$compare" 1e-4 "$work/gpu/weights/last.safetensors" "$work/moved/weights/last.safetensors"
check "trains with other work in between" env SINTER_VIRTUAL_SEED=22 "$work/cnn" train --data "$fashion" --limit 160 \
    --epochs 1 --seed 7 --output-dir "$work/seed" --device cuda:virtual
same "which changes no bit" "$work/gpu/weights/last.safetensors" "$work/seed/weights/last.safetensors"
for d in cpu cuda:virtual; do
    check "evaluates, $d" "$work/cnn" eval --data "$fashion" --limit 40 --weights "$work/gpu/weights/last.safetensors" \
        --device $d --json "$work/eval.$d.json"
    "$work/cnn" predict models/ankle_boot.png --weights "$work/gpu/weights/last.safetensors" --topk 3 --device $d \
        >"$work/predict.$d" 2>&1
done
for key in loss accuracy f1_weighted; do
    check "eval gives the same $key" near "$work/eval.cpu.json" "$work/eval.cuda:virtual.json" $key
done
same "predict says the same" "$work/predict.cpu" "$work/predict.cuda:virtual"

# Raw tensors, and PyTorch's numbers.
must "cnn_small builds" "$sinter" build "$f.yaml" --no-variants --target=cuda -o "$work/small"
small() { # VERB OPTION...
    local verb=$1
    shift
    "$work/small" "$verb" --input "$f.input.safetensors" --target "$f.target.safetensors" --weights "$f.init.safetensors" \
        --device cuda:virtual "$@"
}
check "runs" small run --output "$work/output.safetensors"
check "as PyTorch: output" "$compare" 1e-5 "$f.output.safetensors" "$work/output.safetensors"
check "steps" small step --save-grads "$work/grads.safetensors"
check "as PyTorch: gradients" "$compare" 1e-5 "$f.grads.safetensors" "$work/grads.safetensors"
check "ten steps" small step --steps 10 --save-weights "$work/w.safetensors" --log "$work/w.jsonl"
check "as PyTorch: losses" "$compare" 1e-5 "$f.sgd.jsonl" "$work/w.jsonl"
check "as PyTorch: weights" "$compare" 1e-4 "$f.sgd.safetensors" "$work/w.safetensors"
check "sinter run knows where the virtual device is" env -u SINTER_CUDA_VIRTUAL "$sinter" run "$f.yaml" --no-variants step \
    --input "$f.input.safetensors" --target "$f.target.safetensors" --weights "$f.init.safetensors" --device cuda:virtual
check "bench" "$work/small" bench --device cuda:virtual --duration 0.01 --phase infer --profile --json "$work/bench.json"
check "bench names the device" grep -q '"device": "sinter virtual sm_80"' "$work/bench.json"

# Failures: one line, the exit code of their kind.
fails() { # NAME CODE PATTERN FAULT
    refuses "$1" "$2" "$3" env "SINTER_VIRTUAL_FAULT=$4" "$work/small" step --input "$f.input.safetensors" \
        --target "$f.target.safetensors" --weights "$f.init.safetensors" --device cuda:virtual
}
fails "an old driver" 5 '^error\[G002\]: the CUDA driver is too old: it is for CUDA 11.4, this program for CUDA 1[0-9]' driver=11040
fails "no device" 5 '^error\[G003\]: there is no CUDA device' devices=0
fails "out of memory" 6 '^error\[E003\]: .* GiB needed, .* GiB of .* GiB free' oom@3
fails "a kernel that fails" 5 '^error\[G006\]: a kernel failed on' launch@2
CUDA_LAUNCH_BLOCKING=1 fails "a kernel that fails has a name" 5 \
    '^error\[G006\]: kernel k01 \(pool1.*, cnn_small.yaml:9\) failed' launch@2
must "builds for sm_90 alone" "$sinter" build "$f.yaml" --infer-only --target=cuda:sm_90 -o "$work/later"
refuses "code for later devices alone" 5 "^error\[G004\]: this program has code for sm_90, not for .*, which is sm_80" \
    "$work/later" run --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/q" --device cuda:virtual
check "a later device takes it" env SINTER_VIRTUAL_DEVICE=sm_120 "$work/later" run --input "$f.input.safetensors" \
    --weights "$f.init.safetensors" --output "$work/later.safetensors" --device cuda:virtual
check "and computes the same" "$compare" 1e-5 "$f.output.safetensors" "$work/later.safetensors"
finish
