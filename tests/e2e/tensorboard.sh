#!/usr/bin/env bash
# Event files as TensorBoard itself reads them: the numbers of metrics.jsonl, also of a run that was stopped and resumed.
# Needs Python with tensorboard: $TENSORBOARD_PYTHON, build/tb/venv or python3.
. "$(dirname "$0")/lib.sh"
spec=tests/e2e/mnist.yaml
python=${TENSORBOARD_PYTHON:-build/tb/venv/bin/python}
[ -x "$python" ] || python=$(command -v python3 || true)
[ -f "$fashion/train-images-idx3-ubyte.gz" ] || { skip "TensorBoard" "no Fashion-MNIST"; finish; }
must "builds" "$sinter" build $spec -o "$work/p"
train() { "$work/p" train --data "$fashion" --limit 300 --seed 1 --device cpu --output-dir "$work/run" "$@"; }
train --epochs 4 --max-steps 9 >/dev/null 2>&1
check "trains, is stopped, goes on" train --epochs 4 --resume auto
check "an event file of each part" test "$(find "$work/run" -name 'events.out.tfevents.*.sinter' | wc -l)" -ge 1
"$python" -c 'import tensorboard' 2>/dev/null ||
    { skip "TensorBoard reads the events" "no Python with tensorboard: pip install tensorboard, TENSORBOARD_PYTHON=..."; finish; }
check "TensorBoard reads the events" "$python" -W ignore tests/e2e/read_events.py "$work/run"
"$python" -W ignore tests/e2e/read_events.py "$work/run" >"$work/read" 2>/dev/null
for key in train/loss val/loss train/accuracy val/accuracy lr; do
    grep "^$key " "$work/read" | awk '{ printf "%d %.5f\n", $2, $3 }' >"$work/theirs"
    grep -oE "\"epoch\": [0-9]+|\"$key\": [0-9.eE+-]+" "$work/run/metrics.jsonl" | awk '{ printf(NR % 2 ? "%d " : "%.5f\n", $2) }' >"$work/ours"
    same "$key: the numbers of metrics.jsonl" "$work/ours" "$work/theirs"
done
finish
