#!/usr/bin/env bash
# sinter verify: the small models pass, as tables and as JSON; what cannot run is refused.
. "$(dirname "$0")/lib.sh"

for model in cnn mlp bn_cnn; do
    check "$model" "$sinter" verify models/$model.yaml
    mv "$work/said" "$work/table"
    check "$model says so" sh -c "tail -n 1 '$work/table' | grep -qE '^[0-9]+ kernels, [0-9]+ gradients.*: ok$'"
done
check "unfused" "$sinter" verify models/mlp.yaml --no-fuse --batch 3 --seed 7
check "another machine's kernels" "$sinter" verify models/cnn.yaml --target cpu:x86-64-v2
"$sinter" verify models/mlp.yaml --json >"$work/json" 2>"$work/said"
check "JSON" sh -c "grep -q '\"ok\": true}\$' '$work/json' && grep -q '\"rel_l2\": ' '$work/json' && grep -q '\"verdict\": \"ok\"' '$work/json'"

# No rounding at all is more than single precision can do: kernels differ, and the exit code says so.
"$sinter" verify models/mlp.yaml --tolerance 1e-12 >"$work/table" 2>&1
check "a mismatch is exit code 1" test $? = 1
check "and is named" sh -c "grep -q DIFFERS '$work/table' && tail -n 1 '$work/table' | grep -q 'differ'"

refuses "kernels that cannot run here" 2 'do not run on this computer' "$sinter" verify models/mlp.yaml --target cpu:aarch64
refuses "a tolerance that is none" 2 'error\[C002\]' "$sinter" verify models/mlp.yaml --tolerance 0
refuses "a program to write" 2 'error\[C001\]' "$sinter" verify models/mlp.yaml -o "$work/p"
refuses "no description" 2 'error\[C001\]' "$sinter" verify
check "no temporaries are left" sh -c "mkdir '$work/tmp' && TMPDIR='$work/tmp' '$sinter' verify models/mlp.yaml && test -z \"\$(ls -A '$work/tmp')\""
finish
