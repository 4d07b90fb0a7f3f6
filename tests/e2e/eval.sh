#!/usr/bin/env bash
# eval: what `metrics` ask for is printed, everything is in the JSON, predictions.csv agrees with both.
. "$(dirname "$0")/lib.sh"

cat >"$work/softmax.yaml" <<'SPEC'
spec: 1
name: softmax
input: {image: [1, 28, 28]}
model: [Flatten(), "Linear(_, 10)"]
data: {format: idx, root: /usr/share/datasets/fashion-mnist, num_classes: 10, split: {val: 0.1}, normalize: {mean: 0.286, std: 0.353}}
train: {loss: CrossEntropyLoss(), optimizer: Adam(lr=0.001), batch_size: 50, epochs: 1}
metrics: [accuracy, topk(3), topk(1), average_precision, roc_auc, calibration]
SPEC
must "builds" "$sinter" build "$work/softmax.yaml" -o "$work/softmax" --no-variants
must "trains" "$work/softmax" train --data "$fashion" --limit 3000 --output-dir "$work/run"
"$work/softmax" eval --data "$fashion" --limit 1000 --output-dir "$work/run" --json "$work/e.json" >"$work/text" 2>"$work/err"
for word in 'top-3 accuracy' 'top-1 accuracy' 'average precision: mean' 'ROC-AUC, each class against the rest' \
    'calibration: expected error' 'most confused pairs' 'F1 0\.[0-9]* weighted, 0\.[0-9]* macro'; do
    check "prints $word" grep -qE "$word" "$work/text"
done
for key in mean_average_precision roc_auc_macro roc_auc_weighted ece brier iou_macro; do
    check "JSON has $key" test -n "$(number "$work/e.json" $key)"
done
check "JSON has pairs" grep -q '"most_confused": \[{' "$work/e.json"
top1() { awk -v a="$(number "$work/e.json" accuracy)" '/^top-1/ { sub("%", "", $3); d = $3 - 100 * a; ok = d < .006 && d > -.006 } END { exit !ok }' "$work/text"; }
check "top-1 accuracy is the accuracy" top1

csv_agrees() {
    awk -F, -v a="$(number "$work/e.json" accuracy)" '
        NR == 1 { ok = $0 == "item,label,prediction,probability,second,second_probability,third,third_probability"; next }
        { n++; right += $2 == $3; ok = ok && $4 >= $6 && $6 >= $8 && $4 <= 1 && $1 ~ /^t10k:/ }
        END { d = right / n - a; exit !(ok && n == 1000 && d < 1e-9 && d > -1e-9) }' "$work/run/predictions.csv"
}
check "predictions.csv has a row an item and the same accuracy" csv_agrees

# The same weights, the loss to the base of 2.
sed 's/CrossEntropyLoss()/CrossEntropyLoss(log_base=2)/' "$work/softmax.yaml" >"$work/bits.yaml"
must "builds with log_base=2" "$sinter" build "$work/bits.yaml" -o "$work/bits" --no-variants
"$work/bits" eval --data "$fashion" --limit 1000 --weights "$work/run/weights/best.safetensors" --json "$work/b.json" >"$work/btext" 2>"$work/err"
check "says bits" grep -qE '^test: 1000 items, loss [0-9.]+ bits, ' "$work/btext"
bits() { awk -v a="$(number "$work/e.json" loss)" -v b="$(number "$work/b.json" loss)" 'BEGIN { d = b * log(2) / a - 1; print a, b; exit !(d < 1e-5 && d > -1e-5) }'; }
check "a nat is 1.4427 bits" bits

mkdir -p "$work/flat" && cp "$work/run/weights/best.safetensors" "$work/flat/best.safetensors"
check "no run, no predictions" "$work/softmax" eval --data "$fashion" --limit 100 --weights "$work/flat/best.safetensors"
check "nothing is written there" test ! -e "$work/flat/predictions.csv" -a ! -e "$work/predictions.csv"

cat >"$work/auto.yaml" <<'SPEC'
spec: 1
name: auto
input: {image: [1, 28, 28]}
model: [Flatten(), "Linear(_, 32)", ReLU(), "Linear(_, 784)", "Unflatten(1, [1, 28, 28])"]
data: {format: idx, root: /usr/share/datasets/fashion-mnist, split: {val: 0.1}, normalize: {mean: 0.286, std: 0.353}}
train: {target: input, loss: MSELoss(), optimizer: Adam(lr=0.003), batch_size: 50, epochs: 3}
metrics: [psnr, ssim]
SPEC
must "builds an autoencoder" "$sinter" build "$work/auto.yaml" -o "$work/auto" --no-variants
must "trains it" "$work/auto" train --data "$fashion" --limit 3000 --output-dir "$work/arun"
"$work/auto" eval --data "$fashion" --limit 300 --output-dir "$work/arun" --json "$work/a.json" >"$work/text" 2>"$work/err"
check "prints PSNR and SSIM" grep -qE '^PSNR [0-9.]+ dB, SSIM 0\.[0-9]+ ' "$work/text"
# The loss is the mean squared error of normalised pixels; PSNR is a mean of logarithms, so at least that of the mean.
psnr_fits() {
    awk -v l="$(number "$work/a.json" loss)" -v p="$(number "$work/a.json" psnr)" -v s="$(number "$work/a.json" ssim)" \
        'BEGIN { least = -10 * log(l * .353 * .353) / log(10); print l, p, least, s; exit !(p >= least && p < least + 6 && s > .3 && s < 1) }'
}
check "PSNR follows from the loss" psnr_fits
rows() { awk -F, 'NR == 1 { ok = $0 == "item,psnr,ssim"; next } { n++; p += $2 } END { exit !(ok && n == 300) }' "$work/arun/predictions.csv"; }
check "predictions.csv of an autoencoder" rows
finish
