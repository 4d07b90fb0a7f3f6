#!/usr/bin/env bash
# Ten animals by three networks, laid over each other. Works offline: shapes under the animals' names stand in for them.
#   WILDLIFE=DIR   Russian_WildLife_Dataset: a folder for each animal [shapes that are drawn]
#   WEIGHTS=F      torchvision's resnet18.pth [ResNet-18 is trained on characters for a while]
#   SIZE=N         pixels of a side [128 with WILDLIFE, else 32]
. "$(dirname "$0")/../lib.sh"
cp "$here"/*.yaml "$here/../A-pictures-and-scenes/pretrain.yaml" .

stand_in() { # one folder for each class, nothing split
    sinter data make shapes shapes --count 90 --size 32
    set -- amur_leopard amur_tiger birds black_bear brown_bear dog roe_deer sika_deer wild_boar people
    local shape part f
    for shape in shapes/train/*; do
        shape=${shape##*/}
        mkdir -p "wildlife/$1"
        for part in train val test; do
            for f in "shapes/$part/$shape/"*; do cp "$f" "wildlife/$1/$part-${f##*/}"; done
        done
        shift
    done
}

data=${WILDLIFE:-wildlife} size=${SIZE:-128} weights=${WEIGHTS:-resnet18.safetensors}
[ -n "${WILDLIFE:-}" ] || { size=32 && run stand_in; }
run sinter data ls "$data"
run sinter data check "$data"

if [ -z "${WEIGHTS:-}" ]; then
    run sinter data make glyphs36 glyphs36 --count 30 --size 32
    run sinter build pretrain.yaml -o pretrain --no-variants --set size=32
    run ./pretrain train --output-dir pretrain-run --force
    cp pretrain-run/weights/best.safetensors resnet18.safetensors
fi

id=2 least=(0 0 0.3 0.6 0.12)
for net in cnn resnet18 resnet18_augmented; do
    run sinter build $net.yaml -o $net --no-variants --set size="$size"
    begin=()
    [ $net = cnn ] || begin=(--init "$weights" --reinit fc)
    run ./$net train --data "$data" "${begin[@]}" --output-dir runs/$net --force
    brief 20 ./$net eval --data "$data" --split test --output-dir runs/$net --json $net.json
    figure B$id "$net, accuracy on test" "$(number $net.json accuracy)" "${least[id]}"
    verdict runs/$net
    grep -q '<section id="tsne">' runs/$net/report.html
    id=$((id + 1))
done
cmp runs/cnn/split.csv runs/resnet18_augmented/split.csv # the same pictures to learn from and to be judged by
run sinter compare runs/cnn runs/resnet18 runs/resnet18_augmented -o compare.html
finish
