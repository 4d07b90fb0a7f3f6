#!/usr/bin/env bash
# Many runs of one build: a folder each, a table with means and spreads; what is done is not done again.
. "$(dirname "$0")/lib.sh"

cat >"$work/d.yaml" <<'SPEC'
spec: 1
name: d
input: {image: [1, 28, 28]}
model: [Flatten(), "Linear(_, 10)"]
data: {format: idx, root: /usr/share/datasets/fashion-mnist, num_classes: 10, split: {val: 0.1}, normalize: {mean: 0.286, std: 0.353}}
train: {loss: CrossEntropyLoss(), optimizer: SGD(lr=0.01), batch_size: 50, epochs: 2, l2: {lambda: 0}}
SPEC
sweep() { "$sinter" sweep "$work/d.yaml" --output-dir "$work/sw" "$@"; }
tail=(-- --data "$fashion" --limit 500)
sweep --grid train.l2.lambda=0,0.1,1 --seeds 2 --json "$work/sw.json" "${tail[@]}" >"$work/text" 2>"$work/err"
check "six runs" test "$(find "$work/sw" -name result.json | wc -l)" = 6
check "each in a folder that says what it is" test -s "$work/sw/l2=0.1,seed=1/metrics.jsonl"
check "a table with a line for each lambda" test "$(grep -cE '^(0|0\.1|1) +2 ' "$work/text")" = 3
check "means and spreads" grep -qE '^0\.1 .* [0-9.]+ \+- [0-9.e-]+' "$work/text"
falls() { # the sum of the squared weights, as lambda rises
    awk '/^(0|0\.1|1) +2 / { x = $(NF - 2); if (n++ && !(x < last)) bad = 1; last = x } END { exit bad || n != 3 }' "$work/text"
}
check "larger lambda, smaller weights" falls
check "JSON" grep -q '"weight_norm2": {' "$work/sw.json"
check "runs laid over each other" test -s "$work/sw/compare.html"

stamp() { stat -c %Y%i "$work/sw/l2=0.1,seed=1/result.json" "$work/sw/l2=1,seed=0/weights/last.safetensors"; }
before=$(stamp)
cp "$work/sw/l2=0,seed=1/weights/last.safetensors" "$work/kept"
rm "$work/sw/l2=0,seed=1/result.json"
sweep --grid train.l2.lambda=0,0.1,1 --seeds 2 "${tail[@]}" >"$work/text2" 2>"$work/err"
check "goes on where it stopped" test "$(grep -c '^run ' "$work/err")" = 1
check "and leaves the rest alone" test "$before" = "$(stamp)"
same "the same weights" "$work/kept" "$work/sw/l2=0,seed=1/weights/last.safetensors"
check "the same table" diff "$work/text" "$work/text2"

sweep --grid train.lr=0.1,0.01 --grid data.limit=200,500 -- --data "$fashion" --epochs 1 >"$work/text" 2>"$work/err"
check "a grid of two" test "$(grep -cE '^0\.0?1 +(200|500) +1 ' "$work/text")" = 4
refuses "a value of the build" 2 'error\[C001\].*width' sweep --grid width=1,2 "${tail[@]}"
refuses "a value that is none" 2 'error\[C002\].*--lr' sweep --grid train.lr=x "${tail[@]}"
refuses "no description" 2 'error\[C001\]' "$sinter" sweep --seeds 2
check "help" "$sinter" sweep --help
finish
