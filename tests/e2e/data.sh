#!/usr/bin/env bash
# Bad data and bad weights: the right message, the right exit code, nothing half-written.
. "$(dirname "$0")/lib.sh"

must "builds" "$sinter" build tests/e2e/mnist.yaml -o "$work/mnist"
be32() { printf "%b" "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)))"; }
images() { # COUNT [DECLARED]: an IDX file of the first test images
    printf '\0\0\x08\x03' && be32 "${2:-$1}" && be32 28 && be32 28 &&
        zcat "$fashion/t10k-images-idx3-ubyte.gz" | tail -c +17 | head -c $((784 * $1))
}
labels() { printf '\0\0\x08\x01' && be32 "${2:-$1}" && zcat "$fashion/t10k-labels-idx1-ubyte.gz" | tail -c +9 | head -c "$1"; }

d=$work/data
good() { # a small good set in $d
    rm -rf "$d" "$work/out" && mkdir "$d"
    images 400 >"$d/train-images-idx3-ubyte" && labels 400 >"$d/train-labels-idx1-ubyte"
    images 100 >"$d/t10k-images-idx3-ubyte" && labels 100 >"$d/t10k-labels-idx1-ubyte"
}
train() { "$work/mnist" train --data "$d" --epochs 1 --output-dir "$work/run" "$@"; }
clean() { [ -z "$(find "$work/run" "$work"/*.tmp* -type f 2>/dev/null)" ]; }
bad() { # ID PATTERN: training on $d is refused and leaves nothing
    refuses "$1" 4 "error\[$1\].*$2" train
    check "$1 leaves nothing" clean
}

good && must "the small set is good" train --output-dir "$work/fine"
for file in "$d"/*; do gzip -9 "$file"; done
must "compressed too" train --output-dir "$work/fine2"
same "compressed or not makes no difference" "$work/fine/weights/last.safetensors" "$work/fine2/weights/last.safetensors"

good && rm -r "$d" && bad D001 'data'
good && rm "$d"/* && bad D001 'data'
good && printf '\0\0\x0d\x03' | dd of="$d/train-images-idx3-ubyte" conv=notrunc status=none && bad D003 '0x0*D03'
good && printf 'P5 28 28' >"$d/train-images-idx3-ubyte" && bad D003 'IDX'
good && truncate -s 100000 "$d/train-images-idx3-ubyte" && bad D004 '313616.*100000'
good && truncate -s 7 "$d/train-labels-idx1-ubyte" && bad D004 ''
good && printf 'twelve bytes' >>"$d/train-images-idx3-ubyte" && bad D005 '12 bytes'
good && { printf '\0\0\x08\x03' && be32 4294967295 && be32 4294967295 && be32 4294967295; } >"$d/train-images-idx3-ubyte" &&
    bad D006 'declares'
good && labels 399 >"$d/train-labels-idx1-ubyte" && bad D007 '400.*399'
good && gzip "$d/train-images-idx3-ubyte" && printf 'XXXX' |
    dd of="$d/train-images-idx3-ubyte.gz" bs=1 seek=40000 conv=notrunc status=none && bad D008 'gzip'
good && gzip "$d/train-images-idx3-ubyte" && truncate -s 50000 "$d/train-images-idx3-ubyte.gz" && bad D008 'gzip'
good && { images 400 && head -c 100000000 /dev/zero; } | gzip >"$d/train-images-idx3-ubyte.gz" &&
    rm "$d/train-images-idx3-ubyte" && bad D008 'past'
good && printf '\x0b' | dd of="$d/train-labels-idx1-ubyte" bs=1 seek=25 conv=notrunc status=none && bad D009 '17.*11.*0\.\.9'
must "builds for a large batch" "$sinter" build tests/e2e/mnist.yaml -o "$work/large" --batch 500
good && refuses "D026" 4 'error\[D026\].*500' "$work/large" train --data "$d" --epochs 1 --output-dir "$work/run"
check "D026 leaves nothing" clean
if is_mortal 2>/dev/null; then
    good && chmod 0 "$d/train-images-idx3-ubyte" && refuses D002 4 'error\[D002\].*Permission denied' "${mortal[@]}" \
        "$work/mnist" train --data "$d" --epochs 1 --output-dir "$work/run"
    check "D002 leaves nothing" clean
else
    skip D002 "this user may read every file"
fi

# Image folders.
cat >"$work/folder.yaml" <<'YAML'
spec: 1
name: folder
params: {num_classes: 2}
input: {image: [1, 28, 28]}
model:
  conv1: Conv2d(_, 4, 3)
  pool1: AdaptiveAvgPool2d(1)
  flat: Flatten()
  fc: Linear(_, num_classes)
data:
  format: image_folder
  root: data
  split: {train: 0.5, val: 0.25, test: 0.25, stratify: true, seed: 1}
train:
  loss: CrossEntropyLoss()
  optimizer: SGD(lr=0.1)
  batch_size: 4
YAML
must "the folder model builds" "$sinter" build "$work/folder.yaml" -o "$work/mnist"
png=models/ankle_boot.png
size=$(stat -c %s $png)
folder() { # two classes with eight images each
    local class i
    rm -rf "$d" && mkdir -p "$d/boot" "$d/coat"
    for class in boot coat; do for i in 1 2 3 4 5 6 7 8; do cp $png "$d/$class/$i.png"; done; done
}
folder && must "an image folder trains" train --output-dir "$work/fine3"
folder && : >"$d/boot/3.png" && bad D010 'boot/3.png.*empty'
folder && printf 'GIF89a\1\0\1\0\0\0\0;' >"$d/boot/3.png" && bad D011 '3.png.*PNG'
folder && mv "$d/boot/3.png" "$d/boot/3.gif" && printf 'GIF89a\1\0\1\0\0\0\0;' >"$d/boot/3.gif" && bad D011 '3.gif'
folder && printf 'Z' | dd of="$d/boot/3.png" bs=1 seek=60 conv=notrunc status=none && bad D012 '3.png.*CRC'
folder && truncate -s $((size - 6)) "$d/boot/3.png" && bad D012 '3.png'
folder && rm -r "${d:?}/coat/"* && bad D020 "coat"
folder && rm -r "${d:?}/coat" && bad D020 'class'
folder && mv "$d/boot/3.png" "$d/boot/$(printf '\033[31mred\n').png" && : >"$d/boot/$(printf '\033[31mred\n').png" &&
    bad D010 'x1b.*red'

# Weights.
must "the small model builds" "$sinter" build "$fixtures/bn_small.yaml" -o "$work/bn"
f=$fixtures/bn_small
weights() { # ID PATTERN FILE
    rm -f "$work/o.safetensors"
    refuses "$1" 4 "error\[$1\].*$2" "$work/bn" run --input "$f.input.safetensors" --weights "$3" --output "$work/o.safetensors"
    check "$1 leaves nothing" test ! -e "$work/o.safetensors"
}
w=$work/w.safetensors
printf 'abc' >"$w" && weights W001 'safetensors' "$w"
printf '\377\377\377\377\377\0\0\0{}' >"$w" && weights W001 'length' "$w"
printf '\20\0\0\0\0\0\0\0{"a":nonsense}  ' >"$w" && weights W002 'JSON' "$w"
head -c $(($(stat -c %s "$f.init.safetensors") - 4)) "$f.init.safetensors" >"$w" && weights W004 '' "$w"
{ cat "$f.init.safetensors" && printf 'more'; } >"$w" && weights W004 '' "$w"
sed 's/"fc\.bias"/"fc.bios"/' "$f.init.safetensors" >"$w" && weights W007 'fc.bias' "$w"
sed 's/"F32"/"F99"/' "$f.init.safetensors" >"$w" && weights W006 'F99' "$w"
weights W007 'missing' "$fixtures/cnn_small.init.safetensors"
refuses "weights that are not there" 4 'No such file' "$work/bn" run --input "$f.input.safetensors" \
    --weights "$work/none.safetensors" --output "$work/o.safetensors"
finish
