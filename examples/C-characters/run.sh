#!/usr/bin/env bash
# Characters: a fully connected network and its learning rate, a convolutional one, a reader of pages, an autoencoder,
# and a classifier on layers that stay as they are. Works offline on sets that sinter draws.
. "$(dirname "$0")/../lib.sh"
cp "$here"/*.yaml .
run sinter data make glyphs36 glyphs36

# C1-C4: the learning rate, first-layer weights, confused pairs
run sinter sweep mlp.yaml --grid train.lr=1,0.1,0.01 --output-dir sweep --json sweep.json
best=sweep/lr=0.1,seed=0
run sinter build mlp.yaml -o mlp --no-variants
brief -12 ./mlp eval --split test --output-dir "$best" --json mlp.json
figure C1 "fully connected, accuracy on test" "$(number mlp.json accuracy)" 0.90

# C8: a convolutional network
run sinter build cnn.yaml -o cnn --no-variants
run ./cnn train --output-dir cnn-run
brief 1 ./cnn eval --split test --output-dir cnn-run --json cnn.json
figure C8 "convolutional, accuracy on test" "$(number cnn.json accuracy)" 0.97

# C5: pages of text
for seed in 1 2 12; do
    run sinter data make page "page$seed.png" --seed "$seed"
    run ./cnn ocr "page$seed.png" --output-dir cnn-run --truth "page$seed.txt" --boxes "boxes$seed.png" --json "page$seed.json"
    figure C5 "characters of a page that are right" "$(number "page$seed.json" accuracy)" 0.95
done

# C6: compression
run sinter build autoencoder.yaml -o autoencoder --no-variants
run ./autoencoder train --output-dir auto-run
run ./autoencoder eval --split val --output-dir auto-run --json auto.json
run ./autoencoder predict glyphs36/val/{A,E,K,U,8}/0000.png --output-dir auto-run --save-output back
figure C6 "autoencoder, PSNR in dB, mean over val" "$(number auto.json psnr)" 18

# C11: only the classifier is trained
run sinter data make shapes shapes --size 32
run sinter build trunk.yaml -o trunk --no-variants
run ./trunk train --output-dir trunk-run
run sinter build head.yaml -o head --no-variants
run ./head train --output-dir head-run
brief 1 ./head eval --split test --output-dir head-run --json head.json
figure C11 "classifier on frozen layers, accuracy" "$(number head.json accuracy)" 0.65
finish
