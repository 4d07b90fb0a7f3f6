#!/usr/bin/env bash
# Half precision, end to end: a CNN learns in fp16 and bf16 what it learns in fp32; the loss scale is shown, saved and
# resumed; steps that overflow are left out; `verify`, `bench` and `info` say what they work with.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# ---- against PyTorch's numbers in fp32: output, and the losses of ten steps ----
while read -r model p tolerance; do
    f=$fixtures/$model o=$work/$model.$p
    must "$model builds in $p" "$sinter" build "$f.yaml" --precision "$p" -o "$o" --no-variants
    check "$model runs in $p" "$o" run --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$o.output"
    check "$model in $p: output" "$compare" "$tolerance" "$f.output.safetensors" "$o.output"
    check "$model in $p: ten steps" "$o" step --input "$f.input.safetensors" --target "$f.target.safetensors" \
        --weights "$f.init.safetensors" --steps 10 --log "$o.jsonl"
    check "$model in $p: losses" "$compare" "$tolerance" "$f.sgd.jsonl" "$o.jsonl"
done <<END
bn_small fp16 2e-3
cnn_small fp16 2e-3
ops_small fp16 2e-3
bn_small bf16 1.6e-2
cnn_small bf16 1.6e-2
END

[ -e "$fashion/train-images-idx3-ubyte.gz" ] || { skip "half precision" "no Fashion-MNIST under $fashion"; finish; }

describe() { # NAME LOSS
    cat >"$work/$1.yaml" <<YAML
spec: 1
name: $1
input: {image: [1, 28, 28]}
model:
  conv1: Conv2d(_, 8, 3, padding=1)
  bn1: BatchNorm2d(_)
  relu1: ReLU()
  pool1: MaxPool2d(4)
  conv2: Conv2d(_, 16, 3, padding=1)
  relu2: ReLU()
  flat: Flatten()
  fc: Linear(_, 10)
data: {format: idx, root: $fashion, num_classes: 10, split: {val: 0.1}, normalize: {mean: 0.286, std: 0.353}}
train: {loss: $2, optimizer: Adam(lr=0.003), batch_size: 32, epochs: 2}
YAML
}

describe small "CrossEntropyLoss()"
describe steep "[{use: CrossEntropyLoss(), weight: 1000000}]"
cd "$work" || exit 1
for p in fp32 fp16 bf16; do
    must "it builds in $p" "$sinter" build small.yaml --precision $p -o $p --no-variants
    must "it trains in $p" ./$p train --limit 2000 --threads 1 --output-dir run.$p
    cp said said.$p
done
last() { tail -n 1 "run.$1/metrics.jsonl" >last.json && number last.json "$2"; } # RUN KEY: of the last epoch
near() {
    awk -v a="$(last "$1" val/accuracy)" -v b="$(last fp32 val/accuracy)" 'BEGIN { print a, b; exit !(b > 0.6 && a > b - 0.04) }'
}
is() { [ "$(last "$1" "$2")" = "$3" ]; }
check "fp16 is as accurate as fp32" near fp16
check "bf16 is as accurate as fp32" near bf16
check "the epoch's line shows the scale" grep "scale 65536" said.fp16
check "so do the metrics" is fp16 loss_scale 65536
check "bf16 has no scale" sh -c '! grep loss_scale run.bf16/metrics.jsonl'
check "info says fp16" sh -c './fp16 info | grep "precision *fp16"'

# ---- stopped and resumed ----
must "stopped after 70 steps" ./fp16 train --limit 2000 --threads 1 --max-steps 70 --output-dir run.part
must "resumed" ./fp16 train --limit 2000 --threads 1 --resume auto --output-dir run.part
same "a resumed run has the same weights" run.fp16/weights/last.safetensors run.part/weights/last.safetensors
refuses "fp16 does not go on with a run of bf16" 2 "precision fp16 differs from checkpoint bf16" \
    ./fp16 train --limit 2000 --resume run.bf16/optim.safetensors --output-dir run.other
check "weights do not depend on the precision" ./bf16 eval --split test --limit 64 --weights run.fp16/weights/last.safetensors

# ---- gradients that overflow ----
must "a steep loss builds" "$sinter" build steep.yaml --precision fp16 -o steep --no-variants
must "and trains" ./steep train --limit 320 --threads 1 --epochs 1 --output-dir run.steep
halved() {
    awk -v s="$(last steep loss_scale)" -v n="$(last steep skipped_steps)" \
        'BEGIN { print s, n; exit !(n > 0 && s == 65536 / 2 ^ n) }'
}
check "steps are left out, and each halves the scale" halved

# ---- the other verbs ----
check "verify takes fp16" sh -c '"$1" verify small.yaml --precision fp16 | grep ": ok"' - "$sinter"
check "verify takes bf16" sh -c '"$1" verify small.yaml --precision bf16 | grep ": ok"' - "$sinter"
check "bench says fp16" sh -c './fp16 bench --batch 32 --variants fused 2>&1 | grep "precision fp16"'
check "tf32 is fp32 on a CPU, and says so" \
    sh -c '"$1" build small.yaml --precision tf32 -o tf32 --infer-only --no-variants | grep "tf32 (fp32 on a CPU)"' - "$sinter"
finish
