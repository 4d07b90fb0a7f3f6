#!/usr/bin/env bash
# A ResNet-18 at 32x32, trained for a moment on part of Fashion-MNIST, gives its body to a second description with
# `weights: {load, reinit: [fc], freeze: ["*", "!fc"]}`: only the head is trained, and whatever is frozen, the running
# statistics of BatchNorm included, keeps every bit.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ -e "$fashion/train-images-idx3-ubyte.gz" ] || { skip "fine-tuning" "no Fashion-MNIST under $fashion"; finish; }

describe() { # NAME EXTRA
    cat >"$work/$1.yaml" <<YAML
spec: 1
name: $1
imports: {resnet18: std:resnet18}
input: {image: [1, 32, 32]}
model: resnet18(num_classes=10)
data:
  {format: idx, root: $fashion, num_classes: 10, split: {val: 0.1},
   transforms: {train: [Resize(32)], eval: [Resize(32)]}, normalize: {mean: 0.286, std: 0.353}}
train: {loss: CrossEntropyLoss(), optimizer: "SGD(lr=0.01, momentum=0.9)", batch_size: 16, epochs: 1}
$2
YAML
}

describe body ""
describe head "weights: {load: body.safetensors, reinit: [fc], freeze: [\"*\", \"!fc\"]}"
cd "$work" || exit 1
for name in body head; do must "$name builds" "$sinter" build $name.yaml -o $name --no-variants; done
must "the body trains" ./body train --limit 160 --output-dir body.run
cp body.run/weights/last.safetensors body.safetensors
must "the head trains on it" ./head train --limit 160 --output-dir head.run
cp said report
check "the report says what begins afresh" grep "120 of 122 tensors loaded" report
"$sinter" weights diff body.safetensors head.run/weights/last.safetensors >differences 2>&1
check "120 tensors keep every bit" grep "^120 tensors are equal, .* 2 differ in values" differences
check "the head has moved" grep "^fc.weight" differences
finish
