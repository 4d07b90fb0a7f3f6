#!/usr/bin/env bash
# Builds first.yaml, trains it for a few seconds, evaluates it, and asks it about one image.
#   DATA=DIR    where Fashion-MNIST lies, if not where Debian puts it
#   OUT=DIR     where to write [a temporary folder, removed at the end]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
PATH=$top/${BUILD:-build}:$PATH # else the sinter that is installed
data=${DATA:-/usr/share/datasets/fashion-mnist}
if [ -n "${OUT:-}" ]; then
    mkdir -p "$OUT"
else
    OUT=$(mktemp -d)
    trap 'rm -rf "$OUT"' EXIT
fi

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

cp "$here/first.yaml" "$top/models/ankle_boot.png" "$OUT"
cd "$OUT"
run sinter build first.yaml -o first
run ./first train --data "$data" --limit 10000 --output-dir run --force
run ./first eval --data "$data" --weights run/weights/best.safetensors --json eval.json
run ./first predict ankle_boot.png --weights run/weights/best.safetensors --topk 3 | tee answer.txt
grep -q 'ankle_boot.png  Ankle boot' answer.txt
