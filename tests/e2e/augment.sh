#!/usr/bin/env bash
# Augmentation in training: workers change no bit, mixed batches train, and what cannot be mixed is refused.
. "$(dirname "$0")/lib.sh"

spec() { # file, transforms of batches, loss
    cat >"$1" <<YAML
input: {image: [1, 28, 28]}
model:
  conv: Conv2d(_, 8, 3, stride=2, padding=1)
  relu: ReLU()
  flat: Flatten()
  fc: Linear(_, 10)
data:
  format: idx
  root: $fashion
  num_classes: 10
  limit: 1000
  transforms:
    train:
      - RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1), interpolation=bilinear)
      - ColorJitter(brightness=0.2)
      - RandomErasing()
    batch: [$2]
train: {loss: $3, optimizer: Adam(lr=0.003), batch_size: 50, epochs: 2, seed: 3}
YAML
}

spec "$work/mix.yaml" '"MixUp(alpha=0.4)", CutMix()' "CrossEntropyLoss(label_smoothing=0.1)"
must "mixed: builds" "$sinter" build "$work/mix.yaml" -o "$work/mix"
train() { "$work/mix" train --output-dir "$@"; }
must "mixed: trains" train "$work/one" --workers 1
for workers in 2 5; do
    must "mixed: trains with $workers workers" train "$work/run$workers" --workers $workers
    same "mixed: $workers workers, the same bits" "$work/one/weights/last.safetensors" "$work/run$workers/weights/last.safetensors"
done
must "mixed: stops within an epoch" train "$work/cut" --workers 2 --max-steps 27
must "mixed: goes on" train "$work/cut" --workers 1 --resume auto
same "mixed: to the same bits" "$work/one/weights/last.safetensors" "$work/cut/weights/last.safetensors"
learnt() { awk -v a="$1" 'BEGIN { print "accuracy", a; exit !(a > 0.45 && a <= 1) }'; }
must "mixed: evaluates" "$work/mix" eval --weights "$work/one/weights/last.safetensors" --workers 2 --json "$work/eval.json"
check "mixed: learns" learnt "$(number "$work/eval.json" accuracy)"

spec "$work/plain.yaml" "" "CrossEntropyLoss()"
sed -i '/- Random/d; s/- ColorJitter.*/- RandomHorizontalFlip/' "$work/plain.yaml"
must "plain: builds" "$sinter" build "$work/plain.yaml" -o "$work/plain"
grows() { test "$(stat -c %s "$work/plain")" -lt "$(stat -c %s "$work/mix")"; }
check "plain: leaves out what it does not call" grows

# An image folder whose description says nothing of a split.
must "folder: is drawn" "$sinter" data make shapes "$work/shapes" --count 20 --size 32
cat >"$work/folder.yaml" <<YAML
input: {image: [3, 32, 32]}
model: {flat: Flatten(), fc: "Linear(_, 10)"}
data:
  format: image_folder
  root: $work/shapes
  transforms:
    train:
      - RandomResizedCrop(32, scale=(0.5, 1))
      - RandomPerspective(p=1)
      - GaussianBlur(3)
train: {epochs: 1, batch_size: 8}
YAML
must "folder: builds" "$sinter" build "$work/folder.yaml" -o "$work/folder"
must "folder: trains" "$work/folder" train --workers 2 --output-dir "$work/folder.run"
for part in train val test; do check "folder: has a $part split" grep -q "^$part," "$work/folder.run/split.csv"; done

spec "$work/nll.yaml" "MixUp()" "NLLLoss()"
refuses "NLLLoss cannot be mixed" 3 'S044.*MixUp mixes classes' "$sinter" check "$work/nll.yaml"
finish
