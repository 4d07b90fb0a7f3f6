#!/usr/bin/env bash
# A segmentation model with an auxiliary head learns from masks; its metrics come from one confusion matrix; it resumes.
. "$(dirname "$0")/lib.sh"

cat >"$work/seg.yaml" <<'SPEC'
spec: 1
name: seg
input: {image: [3, 48, 48]}
model:
  enc: Conv2d(_, 16, 5, padding=2)
  relu: ReLU()
  pool: MaxPool2d(2)
  mid: Conv2d(_, 24, 3, padding=1)
  relu2: ReLU()
  aux:
    from: relu
    if: training
    do: Conv2d(_, 8, 1)
  head: {do: "Conv2d(_, 8, 1)", from: relu2}
  out: Upsample(size=48, mode=bilinear)
data: {format: mask_folder, num_classes: 8}
train:
  target: mask
  loss:
    - {use: CrossEntropyLoss(ignore_index=255), on: out}
    - {use: CrossEntropyLoss(ignore_index=255), on: aux, weight: 0.4}
  optimizer: Adam(lr=0.01)
  batch_size: 8
  epochs: 8
  early_stopping: {monitor: val/iou, patience: 3, restore_best: false}
metrics: [pixel_accuracy, iou, dice, precision, recall, average_precision]
SPEC
must "draws scenes" "$sinter" data make scenes "$work/scenes" --count 64 --size 48
must "builds" "$sinter" build "$work/seg.yaml" -o "$work/seg" --no-variants
train() { "$work/seg" train --data "$work/scenes" --output-dir "$work/$1" "${@:2}"; }
must "trains" train a
cp "$work/said" "$work/log"
check "says the mean IoU of an epoch" grep -qE 'epoch 8/8 .* acc [0-9.]+% .* val IoU 0\.[0-9]+' "$work/log"
"$work/seg" eval --data "$work/scenes" --output-dir "$work/a" --split val --json "$work/e.json" >"$work/text" 2>"$work/err"
check "prints pixel accuracy, IoU, Dice" grep -qE '^val: .*pixel accuracy [0-9.]+%, mean IoU 0\.[0-9]+, mean Dice 0\.[0-9]+' "$work/text"
check "prints average precision" grep -qE '^average precision: mean 0\.[0-9]+' "$work/text"
learnt() { awk -v a="$(number "$work/e.json" accuracy)" 'BEGIN { print a; exit !(a > .55) }'; }
check "it learnt" learnt

# IoU, Dice, precision and recall of every class against its row and column of the matrix.
one_matrix() {
    tr -d ' \n' <"$work/e.json" | sed 's/.*"confusion":\[\[\(.*\)\]\].*/\1/; s/\],\[/\n/g' >"$work/matrix"
    tr -d ' \n' <"$work/e.json" | grep -oE '"precision":[^}]*' | sed 's/"[a-z0-9]*"://g' >"$work/classes"
    awk -F, -v acc="$(number "$work/e.json" accuracy)" -v iou="$(number "$work/e.json" iou_macro)" '
        function off(x, y) { return x - y > 1e-9 || y - x > 1e-9 }
        FNR == NR { for (j = 1; j <= NF; j++) { m[FNR, j] = $j; t[FNR] += $j; p[j] += $j; all += $j } n = NF; next }
        { h = m[FNR, FNR]; u = t[FNR] + p[FNR] - h; hits += h; some += u > 0; sum += u ? h / u : 0
          bad += off($1, p[FNR] ? h / p[FNR] : 0) + off($2, t[FNR] ? h / t[FNR] : 0)
          bad += off($3, u ? 2 * h / (t[FNR] + p[FNR]) : 0) + off($4, u ? h / u : 0) + off($5, t[FNR]) }
        END { bad += off(acc, hits / all) + off(iou, sum / some); print bad, n, FNR; exit bad || n != 8 || FNR != 8 }' \
        "$work/matrix" "$work/classes"
}
check "one matrix, all metrics" one_matrix
weighted() { # the pixel accuracy again, from the rows of predictions.csv
    awk -F, -v a="$(number "$work/e.json" accuracy)" 'NR == 1 { ok = $0 == "item,pixels,accuracy"; next } { n += $2; h += $2 * $3 }
        END { d = h / n - a; print d; exit !(ok && d < 1e-5 && d > -1e-5) }' "$work/a/predictions.csv"
}
check "predictions.csv says the same" weighted
last_iou() { grep -oE '"val/iou": [0-9.]+' "$work/a/metrics.jsonl" | tail -n 1 | cut -d' ' -f2; }
"$work/seg" eval --data "$work/scenes" --weights "$work/a/weights/last.safetensors" --split val --json "$work/e.json" >/dev/null 2>&1
agrees() { awk -v a="$(last_iou)" -v b="$(number "$work/e.json" iou_macro)" 'BEGIN { d = a - b; print a, b; exit !(d < 1e-9 && d > -1e-9) }'; }
check "training validated with the same numbers" agrees

must "stops in an epoch" train b --max-steps 13
check "resumes" train b --resume auto
same "stopped and resumed is not stopped" "$work/a/weights/last.safetensors" "$work/b/weights/last.safetensors"

cat >"$work/label.yaml" <<'SPEC'
spec: 1
name: label
input: {image: [3, 48, 48]}
model: [Flatten(), "Linear(_, 8)"]
data: {format: mask_folder}
train: {loss: CrossEntropyLoss(), optimizer: SGD(lr=0.1), batch_size: 8}
SPEC
must "builds a classifier" "$sinter" build "$work/label.yaml" -o "$work/label" --no-variants
refuses "a classifier on masks" 3 'error\[S044\].*class for each pixel' "$work/label" train --data "$work/scenes" \
    --output-dir "$work/c"
finish
