#!/usr/bin/env bash
# sinter verify: the small models pass, as tables and as JSON; what cannot run is refused.
. "$(dirname "$0")/lib.sh"

for model in cnn mlp bn_cnn; do
    check "$model" "$sinter" verify models/$model.yaml
    mv "$work/said" "$work/table"
    check "$model says so" sh -c "tail -n 1 '$work/table' | grep -qE '^[0-9]+ kernels, [0-9]+ gradients.*: ok$'"
done
# Transformed weights lie where the folded ones were.
check "weights by Winograd's algorithm" "$sinter" verify models/resnet9.yaml --infer-only --batch 1
check "unfused" "$sinter" verify models/mlp.yaml --no-fuse --batch 3 --seed 7
check "another machine's kernels" "$sinter" verify models/cnn.yaml --target cpu:x86-64-v2
"$sinter" verify models/mlp.yaml --json >"$work/json" 2>"$work/said"
check "JSON" sh -c "grep -q '\"ok\": true}\$' '$work/json' && grep -q '\"rel_l2\": ' '$work/json' && grep -q '\"verdict\": \"ok\"' '$work/json'"

# No rounding at all is more than single precision can do: kernels differ, and the exit code says so.
"$sinter" verify models/mlp.yaml --tolerance 1e-12 >"$work/table" 2>&1
check "a mismatch is exit code 1" test $? = 1
check "and is named" sh -c "grep -q DIFFERS '$work/table' && tail -n 1 '$work/table' | grep -q 'differ'"

# A GPU's kernels, on the virtual device.
why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "on the virtual device" "$why"
else
    export XDG_CACHE_HOME=$PWD/${BUILD:-build}/cache # NVRTC takes most of the time
    for model in cnn bn_cnn; do
        check "$model on the virtual device" "$sinter" verify models/$model.yaml --target=cuda --set width=8
        mv "$work/said" "$work/table"
        check "$model: its kernels and gradients" sh -c "tail -n 1 '$work/table' | grep -qE '^[0-9]{2} kernels, [0-9]{2} gradients.*: ok$'"
    done
    check "another GPU's kernels" "$sinter" verify models/mlp.yaml --target=cuda:sm_90a
    for precision in tf32 fp16 bf16; do # tensor cores
        check "bn_cnn in $precision" "$sinter" verify models/bn_cnn.yaml --target=cuda --precision $precision --set width=16
    done
    check "every operator in bf16" "$sinter" verify tests/fixtures/ops_small.yaml --target=cuda --precision bf16
    mv "$work/said" "$work/table"
    check "says where they ran" grep -q "sm_80 on 'sinter virtual sm_80'" "$work/table"
    "$sinter" verify models/mlp.yaml --target=cuda --tolerance 1e-12 >"$work/table" 2>&1
    check "a mismatch there is exit code 1" test $? = 1
    check "and is named" sh -c "grep -q DIFFERS '$work/table' && tail -n 1 '$work/table' | grep -q 'differ'"
    refuses "a kernel that fails is named" 5 'kernel 2 \(fc3\) failed on ' env SINTER_VIRTUAL_FAULT=launch@3 \
        "$sinter" verify models/mlp.yaml --target=cuda
    refuses "no virtual device" 5 'no virtual CUDA device' env SINTER_CUDA_VIRTUAL=/nowhere \
        "$sinter" verify models/mlp.yaml --target=cuda
    refuses "too little memory" 5 "has no room for the program: .* GiB needed, .* GiB of .* GiB left" env SINTER_VIRTUAL_MEMORY=1048576 \
        "$sinter" verify models/mlp.yaml --target=cuda
fi
refuses "two GPUs" 2 'error\[C001\]' "$sinter" verify models/mlp.yaml --target=cuda:sm_80,sm_90
refuses "a device without its kernels" 2 'it needs --target=cuda' "$sinter" verify models/mlp.yaml --device cuda
refuses "a device that is none" 2 "did you mean 'cuda'" "$sinter" verify models/mlp.yaml --target=cuda --device cudda
refuses "a device before a program's verb" 2 'goes behind' "$sinter" train --device cuda models/mlp.yaml

refuses "kernels that cannot run here" 2 'do not run on this computer' "$sinter" verify models/mlp.yaml --target cpu:aarch64
refuses "a tolerance that is none" 2 'error\[C002\]' "$sinter" verify models/mlp.yaml --tolerance 0
refuses "a program to write" 2 'error\[C001\]' "$sinter" verify models/mlp.yaml -o "$work/p"
refuses "no description" 2 'error\[C001\]' "$sinter" verify
check "no temporaries are left" sh -c "mkdir '$work/tmp' && TMPDIR='$work/tmp' '$sinter' verify models/mlp.yaml && test -z \"\$(ls -A '$work/tmp')\""
finish
