#!/usr/bin/env bash
# Every model of models/ against PyTorch: outputs, gradients, running statistics, five steps. No weights are stored:
# both sides make them by the formula of tests/torch/README.md. `models.sh WORD...`: only cases with such names.
. "$(dirname "$0")/lib.sh"
parity=${compare%/*}/parity

# The description at another size, with another optimizer, without transforms, which are for the file's own size, and
# without dropout, which draws other numbers here and there.
describe() { # model lr shape(N,C,H,W)
    sed -E -e "s/^(input: \{image: )\[[^]]*\]/\1[${3#*,}]/" -e "s/^(  optimizer: ).*/\1SGD(lr=$2, momentum=0.9, weight_decay=0.0005)/" \
        -e '/^  transforms:/,/^  [a-su-z]/{/^  (transforms|  )/d}' -e 's/Dropout\([0-9.]+\)/Dropout(0)/' "models/$1.yaml"
}

# The first N images become the last.
inputs() { # N
    "$parity" make "$p.input" "$1" <<<"input input $shape $from $to"
    case $target in
        -) ;;
        *,*,*) "$parity" make "$p.target" "$1" <<<"mask target $target 0 $classes" ;;
        *,*) "$parity" make "$p.target" "$1" <<<"truth target $target 0 $classes" ;;
        *) "$parity" make "$p.target" "$1" <<<"labels target $target 0 $classes" ;;
    esac
}

# Which side of 0 an activation is on may depend on rounding, and that on the order of the images: what is wrong, and not
# rounded otherwise, is wrong in all of them.
turn=0
gradients() {
    turn=0
    "$parity" check "$f" grads "$keys" "$p.grads" && return
    for ((turn = 1; turn < ${shape%%,*} && turn < 3; turn++)); do
        inputs $turn
        "${steps[@]}" --steps 1 --save-grads "$p.grads" && "$parity" check "$f" grads "$keys" "$p.grads" && return
    done
    return 1
}

one_case() { # a line of `cases`
    local name=$1 model=$2 lr=$3 shape=$4 from=$5 to=$6 target=$7 classes=$8 section algorithm
    local p=$work/$name f=$fixtures/models/$name.safetensors keys=$fixtures/models/$model.keys
    describe "$model" "$lr" "$shape" >"$p.yaml"
    "$parity" make "$p.weights" <"$keys"
    inputs 0
    for algorithm in fast exact; do # gradients bend where an activation, rounded otherwise, is on the other side of 0
        local build=("$sinter" build "$p.yaml" --algorithm $algorithm --batch "${shape%%,*}" --no-variants -o "$p")
        [ $algorithm = exact ] || build+=(--infer-only)
        check "$name builds, $algorithm" "${build[@]}" || return
        check "$name runs, $algorithm" "$p" run --input "$p.input" --weights "$p.weights" --output "$p.output"
        check "$name: output, $algorithm" "$parity" check "$f" output "$keys" "$p.output"
    done
    local steps=("$p" step --input "$p.input" --weights "$p.weights")
    [ "$target" = - ] || steps+=(--target "$p.target")
    check "$name steps once" "${steps[@]}" --steps 1 --save-grads "$p.grads" --save-weights "$p.buffers"
    check "$name steps five times" "${steps[@]}" --steps 5 --save-weights "$p.changes" --log "$p.losses"
    check "$name: grads" gradients
    [ $turn = 0 ] || echo "    with the first $turn of the images last"
    for section in buffers changes losses; do
        grep -q ^buffer "$keys" || [ $section != buffers ] || continue
        check "$name: $section" "$parity" check "$f" $section "$keys" "$p.$section"
        [ -z "${VERBOSE:-}" ] || tail -n 1 "$work/said"
    done
    rm -f "$p" "$p".*
}

while read -r name rest; do
    [[ -n $name && $name != \#* ]] || continue
    [[ $# = 0 || " $* " = *" $name "* ]] || continue
    # shellcheck disable=SC2086
    one_case "$name" $rest </dev/null
done <"$fixtures/models/cases"
finish
