#!/usr/bin/env bash
# predict where the answer is a picture: masks, overlays, reconstructions.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

cat >seg.yaml <<'SPEC'
spec: 1
name: seg
input: {image: [3, 48, 48]}
model:
  enc: Conv2d(_, 16, 5, padding=2)
  relu: ReLU()
  mid: Conv2d(_, 16, 5, padding=2)
  relu2: ReLU()
  out: Conv2d(_, 8, 1)
data: {format: mask_folder, root: scenes, num_classes: 8}
train: {target: mask, loss: CrossEntropyLoss(ignore_index=255), optimizer: Adam(lr=0.01), batch_size: 8, epochs: 3}
metrics: [pixel_accuracy, iou]
SPEC
side() { od -An -tu1 -j 16 -N 8 "$1" | awk '{ print $3 * 256 + $4, $7 * 256 + $8 }'; } # width height, of a PNG
must "draws scenes" "$sinter" data make scenes scenes --count 40 --size 48
must "builds" "$sinter" build seg.yaml -o seg --no-variants
must "trains" ./seg train --output-dir run
w=(--weights run/weights/best.safetensors)
mkdir -p again/test
cp -r scenes/test/images again/test/images && cp -r again/test again/train && cp -r again/test again/val && cp scenes/classes.txt again
must "masks of a folder" ./seg predict scenes/test/images "${w[@]}" --save-mask again/test/masks --overlay over --json p.json
cp said text
check "one for each image" test "$(ls again/test/masks)" = "$(ls scenes/test/images)"
check "and an overlay" test "$(ls over)" = "$(ls scenes/test/images)"
cp -r again/test/masks again/train/masks && cp -r again/test/masks again/val/masks
must "as a data set" ./seg eval "${w[@]}" --data again --split test --json e.json
check "the masks are what the model finds" test "$(number e.json accuracy)" = 1
check "says which classes there are" grep -qE 'scenes/test/images/0000.png  (road|sidewalk|sky|building) [0-9.]+%.*-> 0000.png' text
check "says the legend" grep -q '^legend:  0 road #804080  1 sidewalk' text
check "shares are shares" sh -c "tr -d ' \n' <p.json | grep -oE '\"share\":[0-9.]+' | cut -d: -f2 | awk '{ s += \$1 } END { exit !(s > 12 && s <= 14.0001) }'"
must "contours" ./seg predict scenes/test/images/0000.png "${w[@]}" --overlay edges --contour
check "are another picture" sh -c '! cmp -s over/0000.png edges/0000.png'
must "larger images" "$sinter" data make scenes large --count 3 --size 96
must "keep their size" ./seg predict large/train/images/0000.png large/val/images/0000.png "${w[@]}" --save-mask big --overlay big2
check "in the mask" test "$(side big/0000.png)" = "96 96"
check "in the overlay" test "$(side big2/0000.png)" = "96 96"
check "images of one name have a mask each" test "$(ls big | tr '\n' ' ')" = "0000-2.png 0000.png "
must "an item of the data set" ./seg predict --idx 0 "${w[@]}" --save-mask item
same "has the mask of its file" item/0000.png again/test/masks/0000.png
mkdir damaged && cp scenes/test/images/0000.png damaged/a.png && head -c 2000 damaged/a.png >damaged/b.png
refuses "masks and overlays in one folder" 2 "error\[C003\].*one folder" ./seg predict large/val/images/0000.png "${w[@]}" \
    --save-mask one --overlay ./one
refuses "a damaged image" 4 "\[D012\].*damaged/b.png" ./seg predict damaged "${w[@]}" --save-mask dm
check "leaves the others" sh -c "ls dm | grep -qx a.png && grep -q '^damaged/a.png' out"
refuses "a place where nothing can be made" 7 "error\[C005\]: cannot create 'no/m'" ./seg predict damaged/a.png "${w[@]}" --save-mask no/m
refuses "an option of autoencoders" 2 "error\[C003\].*--save-mask" ./seg predict damaged/a.png "${w[@]}" --save-output x

cat >auto.yaml <<'SPEC'
spec: 1
name: auto
input: {image: [3, 24, 24]}
model:
  enc: Conv2d(_, 12, 4, stride=2, padding=1)
  relu: ReLU()
  dec: ConvTranspose2d(_, 3, 4, stride=2, padding=1)
data: {format: image_folder, root: shapes, normalize: {mean: 0.5, std: 0.5}}
train: {target: input, loss: MSELoss(), optimizer: Adam(lr=0.01), batch_size: 10, epochs: 4}
SPEC
must "draws shapes" "$sinter" data make shapes shapes --count 12 --size 24
must "builds an autoencoder" "$sinter" build auto.yaml -o auto --no-variants
must "trains it" ./auto train --output-dir arun
w=(--weights arun/weights/best.safetensors)
must "reconstructs folders within a folder" ./auto predict shapes/test "${w[@]}" --save-output back --json p.json
check "an image for each" test "$(ls back | wc -l)" = 40
check "beside its original" test "$(side back/0000.png)" = "50 24"
must "evaluates" ./auto eval "${w[@]}" --split test --json e.json
mean() { tr -d ' \n' <p.json | grep -oE "\"$1\":[0-9.]+" | cut -d: -f2 | awk '{ s += $1 } END { print s / NR }'; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; print a, b; exit !(d * d < 1e-6 * b * b) }'; }
check "PSNR is eval's" near "$(mean psnr)" "$(number e.json psnr)"
check "SSIM is eval's" near "$(mean ssim)" "$(number e.json ssim)"
refuses "an option of masks" 2 "error\[C003\].*--save-output" ./auto predict shapes/test/star "${w[@]}" --overlay x
finish
