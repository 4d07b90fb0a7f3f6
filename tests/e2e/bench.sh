#!/usr/bin/env bash
# bench: the table, the JSON, and that fused and unfused kernels compute the same. No claim about speed is made here.
. "$(dirname "$0")/lib.sh"

must "builds" "$sinter" build "$fixtures/bn_small.yaml" -o "$work/p"
must "benches" "$work/p" bench --variants fused,unfused --phase infer,train-step --duration 0.1s --json "$work/b.json"
for word in '"version"' '"cpu"' '"isa"' '"compiler"' '"unfused"' '"train-step"' p50_ms p90_ms p99_ms images_per_second \
    gflops percent_of_peak bytes_moved peak_memory_bytes speedup '"difference"'; do
    check "JSON has $word" grep -q "$word" "$work/b.json"
done
agree() { grep -o '"relative": [^,}]*' "$work/b.json" | awk '{ print; if (!($2 <= 1e-4)) bad = 1 } END { exit bad || NR == 0 }'; }
check "variants agree" agree
check "one variant, one thread, one batch, a profile" "$work/p" bench --variants fused --phase infer --batch 1 --threads 1 \
    --duration 0.1s --profile
rows() { "$work/p" bench --variants "$1" --phase "$2" --threads 1 --duration 0.1s --profile | sed -n '/step by step/,$p'; }
for variant in fused unfused; do
    check "training has its loss, $variant" sh -c "$(declare -f rows); work=$work; rows $variant train-step | grep -q loss"
    check "inference has none, $variant" sh -c "$(declare -f rows); work=$work; rows $variant infer | grep fc && ! rows $variant infer | grep loss"
done
check "info as JSON" sh -c "'$work/p' info --json - | grep -q '\"parameters\": 506'"

f=$fixtures/bn_small
printf '3\n1\n' >"$work/asked"
for phase in infer train-step; do
    must "time, $phase" sh -c "'$work/p' time --phase $phase --input '$f.input.safetensors' \
        --target '$f.target.safetensors' --weights '$f.init.safetensors' <'$work/asked' >'$work/times'"
    check "answers each number with as many times" sh -c "awk '{ print NF }' '$work/times' | tr '\n' ' ' | grep -qx '3 1 '"
done
refuses "time: a word for a number" 2 'error\[C002\].*ten' sh -c "echo ten | '$work/p' time --input '$f.input.safetensors'"
refuses "time: no input" 2 'error\[C001\].*--input' "$work/p" time
finish
