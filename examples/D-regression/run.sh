#!/usr/bin/env bash
# Logistic and softmax regression on Fashion-MNIST: early stopping, shuffling on and off, a sweep over lambda.
. "$(dirname "$0")/../lib.sh"
cp "$here"/*.yaml .

# D1, D2: stops early, with shuffling earlier
for shuffle in true false; do
    run sinter build logistic.yaml -o "logistic-$shuffle" --no-variants --set "train.shuffle=$shuffle"
    run "./logistic-$shuffle" train --data "$fashion" --output-dir "shuffle-$shuffle"
    brief 1 "./logistic-$shuffle" eval --data "$fashion" --split test --output-dir "shuffle-$shuffle" --json "$shuffle.json"
done
run sinter compare shuffle-true shuffle-false
epochs() { wc -l <"$1/metrics.jsonl"; }
figure D1 "logistic regression, accuracy on test" "$(number true.json accuracy)" 0.82
figure D2 "epochs saved by shuffling" "$(($(epochs shuffle-false) - $(epochs shuffle-true)))" 1

# D3, D4: softmax regression, and what lambda does to its weights
run sinter sweep softmax.yaml --grid train.l2.lambda=0,0.01,0.1,1 --output-dir lambda --json lambda.json -- --data "$fashion"
means() { tr -d ' \n' <lambda.json | grep -oE "\"$1\":\{\"mean\":[0-9.e+-]+" | sed 's/.*://'; }
figure D3 "softmax regression, accuracy on val" "$(means val_accuracy | head -n 1)" 0.80
falls() { awk 'NR > 1 && $1 >= last { bad = 1 } { last = $1 } END { print !bad }'; }
figure D4 "1: ||w||^2 falls as lambda grows" "$(means weight_norm2 | falls)" 1
figure D4 "1: accuracy on val falls as lambda grows" "$(means val_accuracy | falls)" 1
finish
