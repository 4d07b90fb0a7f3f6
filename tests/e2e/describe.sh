#!/usr/bin/env bash
# What helps to write descriptions: check --summary, fmt, init; and std: from where the compiler is installed.
. "$(dirname "$0")/lib.sh"
root=$PWD

# graph FILE: what it means, without the places in the file
graph() { "$sinter" build "$1" -o "$work/none" --stop-after=graph --dump=graph | sed 's/;.*//'; }

has() { # FILE TEXT...   every text stands in the file
    local file=$1 text
    shift
    for text in "$@"; do grep -qF -- "$text" "$file" || { echo "not there: $text" && cat "$file" && return 1; }; done
}

"$sinter" check models/resnet18.yaml --summary >"$work/summary" 2>&1
check "summary: parameters and MACs" has "$work/summary" '11,689,512 parameters' '1.81 G MACs for an image' \
    'layer4.0.downsample.0' '[N,512,7,7]' 'training step at batch 32' 'inference at batch 32'
"$sinter" check tests/fixtures/heads.yaml --summary >"$work/summary" 2>&1
check "summary: what is frozen" has "$work/summary" 'frozen' 'of which'

# fmt: the same model, the same comments, and nothing more to do the second time.
mkdir -p "$work/fmt" && cp models/*.yaml "$work/fmt"
bad=
for model in models/*.yaml; do
    name=$(basename "$model" .yaml)
    "$sinter" fmt "$model" -o "$work/fmt/$name.yaml" && "$sinter" fmt "$work/fmt/$name.yaml" >"$work/again" &&
        cmp -s "$work/fmt/$name.yaml" "$work/again" || bad="$bad $name(twice)"
    [ "$(grep -o '#.*' "$model" | sort | cksum)" = "$(grep -o '#.*' "$work/again" | sort | cksum)" ] || bad="$bad $name(comments)"
    "$sinter" fmt --long "$model" -o "$work/fmt/$name.long.yaml"
    graph "$model" >"$work/a"
    for file in "$work/fmt/$name.yaml" "$work/fmt/$name.long.yaml"; do
        graph "$file" >"$work/b"
        [ -s "$work/a" ] && cmp -s "$work/a" "$work/b" || bad="$bad $(basename "$file")"
    done
done
echo "$bad" >"$work/said"
check "fmt: models keep their meaning and their comments" test -z "$bad"
cat >"$work/odd.yaml" <<'ODD'
# head


name: 'odd # one'   # not a comment inside
params: {a: 4,
   b: 5, # inside
   c: 6}
input:
    image: [3,   8,8]
model:
  -
    - "ReLU()"   # x
  - {do: "Conv2d(_, 3, 1)", if: true}
# end
ODD
cat >"$work/want.yaml" <<'WANT'
# head

name: "odd # one"  # not a comment inside
params:
  a: 4
  b: 5  # inside
  c: 6
input:
  image: [3, 8, 8]
model:
  - - ReLU()  # x
  - {do: "Conv2d(_, 3, 1)", if: true}
# end
WANT
"$sinter" fmt "$work/odd.yaml" >"$work/got.yaml"
same "fmt: arrangement" "$work/want.yaml" "$work/got.yaml"
printf 'a: &x [1]\nb: *x\n' >"$work/alias.yaml"
refuses "fmt: aliases" 3 'error\[S009\]' "$sinter" fmt "$work/alias.yaml"

# init: every kind is a description; what lies in a folder goes into it.
for kind in cnn mlp autoencoder resnet18-ft squeezenet-ft fcn; do
    check "init $kind" "$sinter" init $kind -o "$work/$kind.yaml"
    check "which is a description" "$sinter" check "$work/$kind.yaml"
done
refuses "init: unknown kind" 2 "did you mean 'cnn'" "$sinter" init cnm
refuses "init: file that is there" 7 'error\[C004\]' "$sinter" init cnn -o "$work/cnn.yaml"
refuses "init: folder without images" 4 'error\[D001\]' "$sinter" init cnn --data "$work/fmt"
mkdir -p "$work/pictures/ankle boot" "$work/pictures/bag" "$work/pictures/coat"
for class in "ankle boot" bag coat; do cp models/ankle_boot.png "$work/pictures/$class/1.png"; done
check "init looks at folders" "$sinter" init cnn --data "$work/pictures" -o "$work/pictures.yaml"
check "and counts classes" has "$work/pictures.yaml" 'num_classes: 3' 'image: [1, 28, 28]' "root: $work/pictures"
check "the description is right" "$sinter" check "$work/pictures.yaml"
check "init for fine-tuning" "$sinter" init resnet18-ft --data "$work/pictures" -o "$work/tuned.yaml"
check "freezes all but the new layer" sh -c "'$sinter' check '$work/tuned.yaml' --summary | grep 'of which 1,539 are trained'"
if [ -d "$fashion" ]; then
    check "init looks at IDX files" "$sinter" init mlp --data "$fashion" -o "$work/idx.yaml"
    check "and reads their heads" has "$work/idx.yaml" 'num_classes: 10' 'image: [1, 28, 28]' 'format: idx'
else
    skip "init looks at IDX files" "$fashion is not there"
fi

# std: where the compiler is installed, and where SINTER_MODELS says.
mkdir -p "$work/usr/bin" "$work/usr/share/sinter" && cp "$sinter" "$work/usr/bin/sinter"
cp -R "$root/models" "$root/templates" "$work/usr/share/sinter"
check "std: and templates are found where they are installed" sh -c \
    "cd '$work' && usr/bin/sinter check resnet18-ft.yaml && usr/bin/sinter init cnn >/dev/null"
rm -r "$work/usr/share"
refuses "std: is missing" 3 'SINTER_MODELS' "$work/usr/bin/sinter" check "$work/resnet18-ft.yaml"
check "SINTER_MODELS" env SINTER_MODELS="$root/models" "$work/usr/bin/sinter" check "$work/resnet18-ft.yaml"
finish
