#!/usr/bin/env bash
# `make demo`: from a description to a trained network, by the commands that one would type. Everything is written
# below build/demo; an earlier demo's files there are replaced.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
data=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
demo=$build/demo
rm -rf "$demo"
mkdir -p "$demo"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run "$build/sinter" build models/cnn.yaml --set report.tsne.layer=fc1 -o "$demo/cnn"
run "$demo/cnn" train --data "$data" --output-dir "$demo/run"
run "$demo/cnn" eval --data "$data" --split test --weights "$demo/run/weights/best.safetensors" --json "$demo/eval.json"
run "$demo/cnn" predict models/ankle_boot.png --weights "$demo/run/weights/best.safetensors" --topk 3

cat <<TXT

Everything is in $demo:
  cnn                        the program, $(($(stat -c %s "$demo/cnn") / 1000)) KB; try: $demo/cnn --help
  run/weights/*.safetensors  best and last weights, under PyTorch's names
  run/report.html            curves, confusion matrix, mistakes, t-SNE: open it in a browser
  run/metrics.jsonl          loss and accuracy of every epoch
  eval.json                  the figures on the 10,000 test images
The network is models/cnn.yaml: change it and build it again.
TXT
