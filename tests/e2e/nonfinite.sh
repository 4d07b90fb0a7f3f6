#!/usr/bin/env bash
# A NaN or an infinity stops a run in its step with exit code 8; the message names the layer and its line, in the forward
# pass, in a gradient, in the optimizer; no checkpoint holds one.
. "$(dirname "$0")/lib.sh"

spec() { # NAME STD LINES...   the model's layers, from line 5 on; pixels are divided by STD
    { printf 'spec: 1\nname: %s\ninput: {image: [1, 28, 28]}\nmodel:\n' "$1"
      printf '  %s\n' "${@:3}"
      printf 'data: {format: idx, root: /usr/share/datasets/fashion-mnist, num_classes: 10, split: {val: 0.1}, normalize: {mean: 0, std: %s}}\n' "$2"
      printf 'train: {loss: CrossEntropyLoss(), optimizer: SGD(lr=0.01), batch_size: 50, epochs: 2}\n'
    } >"$work/$1.yaml"
    must "builds $1" "$sinter" build "$work/$1.yaml" -o "$work/$1" --no-variants
}
train() { "$work/$1" train --data "$fashion" --limit 1000 --output-dir "$work/run-$1" "${@:2}"; }
stops() { # NAME PATTERN: what the message must say, ARGS...
    refuses "$1: $2" 8 "$2" train "$1" "${@:3}"
    cp "$work/said" "$work/message"
}

spec forward 1e-37 'flat: Flatten()' 'fc: "Linear(_, 10)"'
stops forward 'forward.yaml:[68]: error\[N001\]: step 1: loss is (NaN|infinite); first: an? .* in .*(fc|loss).*; nothing was saved'
check "nothing was saved" test ! -e "$work/run-forward/weights/last.safetensors"

# Two layers' outputs of 1e25 multiplied: the product, not the layers.
spec product 1e-25 'c: "Conv2d(_, 4, 28)"' 'p: {do: Mul(), from: [c, c]}' 'flat: Flatten()' 'fc: "Linear(_, 10)"'
stops product 'product.yaml:[56]: error\[N001\]: step 1: .* in .*p'

# A loss that is finite, and gradients that are not: activations of 1e30 meet the gradients of logits of 1e30.
spec gradient 1e-30 'flat: Flatten()' 'a: "Linear(_, 16)"' 'fc: "Linear(_, 10)"'
stops gradient 'gradient.yaml:[0-9]+: error\[N001\]: step [0-9]+: .*; first: '

# A rate that blows weights up after some steps: the step is found again from the checkpoint before it.
spec rate 0.5 'flat: Flatten()' 'a: "Linear(_, 16)"' 'b: "Linear(_, 16)"' 'c: "Linear(_, 16)"' 'fc: "Linear(_, 10)"'
stops rate 'rate.yaml:[0-9]+: error\[N001\]: step [0-9]+: .*; first: .*; last good: step [0-9]+' --lr 1000000 --save-every 1
found=$(sed -n 's/.*N001\]: step \([0-9]*\):.*/\1/p' "$work/message")
good=$(sed -n 's/.*last good: step \([0-9]*\).*/\1/p' "$work/message")
check "the step after the last good one" test "${found:-0}" = "$((${good:-0} + 1))"
check "what was saved is finite" "$work/rate" eval --data "$fashion" --limit 50 --output-dir "$work/run-rate"
stops rate 'rate.yaml:[0-9]+: error\[N001\]: step '"$found"': ' --lr 1000000 --force
finish
