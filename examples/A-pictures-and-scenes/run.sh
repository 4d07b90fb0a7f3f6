#!/usr/bin/env bash
# Pictures of ten classes by three networks, laid over each other; and a class for each pixel of street scenes. Works
# offline on sets that sinter draws.
#   PICTURES=DIR   a folder of classes, or of train/, val/ and test/ [shapes that are drawn]
#   WEIGHTS=F      torchvision's resnet18.pth [ResNet-18 is trained on characters for a while]
#   SIZE=N         pixels of a picture's side [128 with PICTURES, else 32]
. "$(dirname "$0")/../lib.sh"
cp "$here"/*.yaml .
pictures=${PICTURES:-pictures} weights=${WEIGHTS:-resnet18.safetensors} size=32
if [ -n "${PICTURES:-}" ]; then size=${SIZE:-128}; else run sinter data make shapes pictures --count 150 --size 32; fi

if [ -z "${WEIGHTS:-}" ]; then
    run sinter data make glyphs36 glyphs36 --count 30 --size 32
    run sinter build pretrain.yaml -o pretrain --no-variants --set size=32
    run ./pretrain train --output-dir pretrain-run --force
    cp pretrain-run/weights/best.safetensors resnet18.safetensors
fi

# A1-A3
id=1 least=(0 0.6 0.5 0.25)
for net in cnn resnet18 resnet18_augmented; do
    run sinter build $net.yaml -o $net --no-variants --set size="$size"
    begin=()
    [ $net = cnn ] || begin=(--init "$weights")
    run ./$net train --data "$pictures" "${begin[@]}" --output-dir runs/$net --force
    brief 20 ./$net eval --data "$pictures" --split test --output-dir runs/$net --json $net.json
    figure A$id "$net, accuracy on test" "$(number $net.json accuracy)" "${least[id]}"
    id=$((id + 1))
done
run sinter compare runs/cnn runs/resnet18 runs/resnet18_augmented -o compare.html
for net in cnn resnet18 resnet18_augmented; do verdict runs/$net; done

# A4, A5
run sinter data make scenes scenes --count 300 --size 64
run sinter build scenes.yaml -o scenes-net --no-variants
run ./scenes-net train --output-dir runs/scenes --force
brief 16 ./scenes-net eval --split test --output-dir runs/scenes --json scenes.json
figure A5 "scenes, mean IoU on test" "$(number scenes.json iou_macro)" 0.80
run ./scenes-net predict scenes/test/images/000{0,1,2,3}.png --output-dir runs/scenes --save-mask masks --overlay overlays
test -s masks/0003.png && test -s overlays/0003.png && test -s runs/scenes/report.html
finish
