#!/usr/bin/env bash
# Digits of house numbers by two networks, and a class for each pixel by a head on ResNet-50. Works offline: digits.c
# draws digits in SVHN's format, sinter draws scenes, which are laid out as PASCAL VOC is.
#   SVHN=DIR       train_32x32.mat and test_32x32.mat [2,000 and 500 digits that are drawn]
#   VOC=DIR        VOCdevkit/VOC2012, with JPEGImages, SegmentationClass, ImageSets [200 scenes that are drawn]
#   SIZE=N         pixels of a side, of VOC [256 with VOC, else 64]
. "$(dirname "$0")/../lib.sh"
cp "$here"/*.yaml .

# E1-E3
svhn=${SVHN:-svhn}
if [ -z "${SVHN:-}" ]; then
    mkdir -p svhn
    run cc -O2 "$here/digits.c" -o digits
    run ./digits svhn 2000 500
fi
run sinter data ls "$svhn" --format svhn
for net in cnn resnet18; do
    run sinter build $net.yaml -o $net --no-variants
    run ./$net train --data "$svhn" --output-dir runs/$net --force
    brief 20 ./$net eval --data "$svhn" --split test --output-dir runs/$net --json $net.json
    figure "$([ $net = cnn ] && echo E1 || echo E2)" "$net, accuracy on test" "$(number $net.json accuracy)" 0.80
    verdict runs/$net
    grep -q '<section id="tsne">' runs/$net/report.html
    grep -q '<section id="mistakes">' runs/$net/report.html
done
run sinter compare runs/cnn runs/resnet18 -o compare.html

# E4
voc() { # the pictures stay PNGs: a reader goes by what is in a file
    sinter data make scenes scenes --count 150 --size 64
    mkdir -p VOC2012/{JPEGImages,SegmentationClass,ImageSets/Segmentation}
    local part f name
    for part in train val; do
        for f in "scenes/$part/images/"*; do
            name=$part-$(basename "$f" .png)
            cp "$f" "VOC2012/JPEGImages/$name.jpg"
            cp "scenes/$part/masks/${f##*/}" "VOC2012/SegmentationClass/$name.png"
            echo "$name"
        done >VOC2012/ImageSets/Segmentation/$part.txt
    done
}
voc=${VOC:-VOC2012} size=${SIZE:-256}
[ -n "${VOC:-}" ] || { size=64 && run voc; }
run sinter build fcn.yaml -o fcn --no-variants --set size="$size"
run ./fcn train --data "$voc" --output-dir runs/fcn --force
brief 32 ./fcn eval --data "$voc" --split val --output-dir runs/fcn --json fcn.json
figure E4 "ResNet-50 with a head, mean IoU on val" "$(number fcn.json iou_macro)" 0.40
verdict runs/fcn
finish
