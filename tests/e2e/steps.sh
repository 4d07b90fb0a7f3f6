#!/usr/bin/env bash
# Accumulated gradients are those of the larger batch; averages of weights are what users get; both survive a stop
# anywhere; a run's lambda, accumulation and decay need no new build.
. "$(dirname "$0")/lib.sh"

spec() { # lines of the train block
    cat <<SPEC
spec: 1
name: steps
input: {image: [1, 28, 28]}
model: ["Conv2d(_, 4, 3, stride=2)", Tanh(), Flatten(), "Linear(_, 10)"]
data: {format: idx, root: /usr/share/datasets/fashion-mnist, num_classes: 10, split: {val: 0.1}, normalize: {mean: 0.286, std: 0.353}}
train:
  loss: CrossEntropyLoss()
  epochs: 2
SPEC
    printf '  %s\n' "$@"
}
tensors=${compare%compare}tensors
"$tensors" "$work/x.safetensors" input 32,1,28,28 1
"$tensors" "$work/y.safetensors" target 32 2 10
step() { "$work/$1" step --input "$work/x.safetensors" --target "$work/y.safetensors" --seed 3 --steps "$2" \
    --save-weights "$work/$1.w.safetensors" "${@:3}"; }
for optimizer in "SGD(lr=0.1, momentum=0.9)" "Adam(lr=0.01)" "SGD(lr=0.2)"; do
    clip=${optimizer#SGD(lr=0.2)}
    [ -n "$clip" ] && clip= || clip="clip_grad_norm: 0.5"
    spec "batch_size: 16" "optimizer: $optimizer" "$clip" >"$work/large.yaml"
    spec "batch_size: 4" "accumulate: 4" "optimizer: $optimizer" "$clip" >"$work/small.yaml"
    must "builds, $optimizer" "$sinter" build "$work/large.yaml" -o "$work/large" --no-variants
    must "builds with accumulation, $optimizer" "$sinter" build "$work/small.yaml" -o "$work/small" --no-variants
    check "6 updates" step large 6
    check "24 steps" step small 24
    check "four batches of 4 are one of 16, $optimizer" "$compare" 2e-5 "$work/large.w.safetensors" "$work/small.w.safetensors"
    check "27 steps" step small 27
    check "the next three change nothing, $optimizer" "$compare" 2e-5 "$work/large.w.safetensors" "$work/small.w.safetensors"
done
check "another number of steps" step small 6 --accumulate 1
must "six updates of batches of 4" step small 12 --accumulate 2
refuses "accumulation in a program without" 2 'error\[C003\].*--accumulate' step large 4 --accumulate 2

spec "batch_size: 20" "optimizer: Adam(lr=0.01)" "accumulate: 3" "ema: 0.9" "l2: {lambda: 0.001, over: dataset}" >"$work/all.yaml"
must "builds with all" "$sinter" build "$work/all.yaml" -o "$work/all" --no-variants
train() { "$work/all" train --data "$fashion" --limit 1000 --output-dir "$work/$1" "${@:2}"; }
must "trains" train whole
cp "$work/said" "$work/log"
check "says the penalty in full" grep -q 'the loss holds 0.001 / 2 \* the sum of all squared weights / 1000 (dataset)' "$work/log"
check "metrics.jsonl has weight_norm2" grep -qE '"weight_norm2": [0-9]' "$work/whole/metrics.jsonl"
must "stops in an accumulated update, in an epoch" train parts --max-steps 37
check "resumes" train parts --resume auto
for file in weights/last.safetensors weights/best.safetensors; do
    same "stopped and resumed: $file" "$work/whole/$file" "$work/parts/$file"
done
refuses "resume with another decay" 2 'error\[C006\].*ema' "$work/all" train --data "$fashion" --limit 1000 \
    --output-dir "$work/parts" --resume auto --ema 0.5 --epochs 3
refuses "resume with another lambda" 2 'error\[C006\].*l2' "$work/all" train --data "$fashion" --limit 1000 \
    --output-dir "$work/parts" --resume auto --l2 0.5 --epochs 3

# The first update copies the weights; with a decay of 0 the average is the weights; otherwise it is not.
must "trains without averaging to speak of" train plain --ema 0
differ() { ! cmp -s "$1" "$2"; }
check "averages are not the weights" differ "$work/whole/weights/last.safetensors" "$work/plain/weights/last.safetensors"
must "trains with a lambda" train strong --l2 1000
shrunk() {
    awk -v a="$(grep -oE '"weight_norm2": [0-9.e+-]+' "$work/whole/metrics.jsonl" | tail -n 1 | cut -d' ' -f2)" \
        -v b="$(grep -oE '"weight_norm2": [0-9.e+-]+' "$work/strong/metrics.jsonl" | tail -n 1 | cut -d' ' -f2)" \
        'BEGIN { print a, b; exit !(b > 0 && b < a / 2) }'
}
check "a larger lambda, smaller weights" shrunk
finish
