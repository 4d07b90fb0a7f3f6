#!/usr/bin/env bash
# Trains briefly on Fashion-MNIST: it learns; stopping and resuming, and the number of threads, change no bit.
. "$(dirname "$0")/lib.sh"

must "builds" "$sinter" build tests/e2e/mnist.yaml -o "$work/mnist"
train() { "$work/mnist" train --data "$fashion" --limit 6000 --epochs "${epochs:-2}" --seed 7 --output-dir "$@"; }

must "trains" train "$work/a" --threads 2
for file in weights/last.safetensors weights/best.safetensors metrics.jsonl args.yaml; do
    check "writes $file" test -s "$work/a/$file"
done
json_lines() { awk '!/^\{.*\}$/ { bad = 1 } END { exit bad || NR == 0 }' "$1"; }
check "metrics are a line of JSON each" json_lines "$work/a/metrics.jsonl"

must "evaluates" "$work/mnist" eval --data "$fashion" --split test --weights "$work/a/weights/best.safetensors" \
    --json "$work/eval.json"
for key in accuracy loss f1_macro f1_weighted; do
    check "eval gives $key" test -n "$(number "$work/eval.json" $key)"
done
check "eval gives confusion" grep -q '"confusion"' "$work/eval.json"
learnt() { awk -v a="$1" 'BEGIN { print "accuracy", a; exit !(a > 0.7 && a <= 1) }'; }
check "it learnt" learnt "$(number "$work/eval.json" accuracy)"

check "predicts" "$work/mnist" predict models/ankle_boot.png --weights "$work/a/weights/best.safetensors" --topk 3
check "predicts as JSON" "$work/mnist" predict models/ankle_boot.png --weights "$work/a/weights/best.safetensors" --json -

# The same bits.
must "trains with one thread" train "$work/one" --threads 1
same "one thread gives the bytes of two" "$work/a/weights/last.safetensors" "$work/one/weights/last.safetensors"
must "trains with three threads" train "$work/three" --threads 3
same "three threads give the bytes of two" "$work/a/weights/last.safetensors" "$work/three/weights/last.safetensors"

epochs=1 must "trains one epoch" train "$work/resumed"
must "resumes" train "$work/resumed" --resume auto
same "resumed is not resumed" "$work/a/weights/last.safetensors" "$work/resumed/weights/last.safetensors"

must "stops in the middle of an epoch" train "$work/steps" --max-steps 41
must "resumes there" train "$work/steps" --resume auto
same "resumed in an epoch is not resumed" "$work/a/weights/last.safetensors" "$work/steps/weights/last.safetensors"

# An interrupt in the middle of an epoch saves; resuming from there ends at the same bits too.
interrupted() {
    # A shell starts its background jobs deaf to SIGINT.
    env --default-signal=INT "$work/mnist" train --data "$fashion" --limit 6000 --epochs 20 --seed 7 \
        --output-dir "$work/int" >"$work/int.log" 2>&1 &
    local pid=$! i
    for ((i = 0; i < 600; i++)); do
        [ -s "$work/int/metrics.jsonl" ] && break
        sleep 0.05
    done
    kill -INT $pid
    wait $pid
    local status=$?
    cat "$work/int.log"
    [ $status = 130 ] && grep -q resume "$work/int.log"
}
check "an interrupt saves and says how to resume" interrupted
epochs=4 must "trains four epochs" train "$work/four"
epochs=4 check "resumes after the interrupt" train "$work/int" --resume auto
same "interrupted and resumed is not interrupted" "$work/four/weights/last.safetensors" "$work/int/weights/last.safetensors"

refuses "resume with another seed" 2 'error\[C006\]' "$work/mnist" train --data "$fashion" --limit 6000 --epochs 4 \
    --seed 8 --output-dir "$work/resumed" --resume auto
finish
