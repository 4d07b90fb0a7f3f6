#!/usr/bin/env bash
# Built programs against the numbers that PyTorch gave: output, loss, every gradient, ten steps of each optimizer.
. "$(dirname "$0")/lib.sh"

for model in cnn_small bn_small ops_small; do
    f=$fixtures/$model
    optimizers=$fixtures/optimizers
    [ -f "$f.optimizers" ] && optimizers=$f.optimizers
    while read -r key optimizer; do
        p=$work/$model.$key
        sed "s/^  optimizer: .*/  optimizer: $optimizer/" "$f.yaml" >"$p.yaml"
        must "$model with $key builds" "$sinter" build "$p.yaml" -o "$p"
        steps=("$p" step --input "$f.input.safetensors" --target "$f.target.safetensors" --weights "$f.init.safetensors")
        if [ "$key" = sgd ]; then
            check "$model runs" "$p" run --input "$f.input.safetensors" --weights "$f.init.safetensors" \
                --output "$p.output.safetensors"
            check "$model: output" "$compare" 1e-5 "$f.output.safetensors" "$p.output.safetensors"
            check "$model steps once" "${steps[@]}" --steps 1 --save-grads "$p.grads.safetensors"
            check "$model: gradients" "$compare" 1e-5 "$f.grads.safetensors" "$p.grads.safetensors"
        fi
        check "$model: ten steps of $key" "${steps[@]}" --steps 10 --save-weights "$p.weights.safetensors" --log "$p.jsonl"
        check "$model: losses of $key" "$compare" 1e-5 "$f.$key.jsonl" "$p.jsonl"
        check "$model: weights of $key" "$compare" 1e-4 "$f.$key.safetensors" "$p.weights.safetensors"
    done <"$optimizers"
done
finish
