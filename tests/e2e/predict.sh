#!/usr/bin/env bash
# What GPUs are predicted to need: bench --predict, and the manifest beside it.
. "$(dirname "$0")/lib.sh"
f=$fixtures/cnn_small.yaml

refuses "a bench that keeps a program" 2 "error\[C001\].*keeps no program" "$sinter" bench "$f" --predict -o "$work/q"
refuses "a manifest of no GPU" 2 'error\[C001\].*manifest.*--target=cuda' "$sinter" build "$f" -o "$work/q" --emit=manifest
why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "predictions" "$why"
    finish
fi
export XDG_CACHE_HOME=$PWD/${BUILD:-build}/tests/cache

must "predicts" sh -c "'$sinter' bench '$f' --predict >'$work/text'"
for board in 'A100-40G, code of sm_80' 'A100-80G, code of sm_80' 'H100-SXM, code of sm_90'; do
    check "for $board" grep -q "^$board" "$work/text"
done
check "says that it predicts" grep -q 'predicted from counts.*nothing was measured' "$work/text"
check "fused beside unfused, of each phase" sh -c "grep -Ec '^(un)?fused +(infer|train-step) +[0-9]' '$work/text' | grep -qx 15"
check "and what that is worth" sh -c "grep -c '^  predicted: fused is [0-9.]*x as fast' '$work/text' | grep -qx 6"
must "one architecture for all boards that can run it" sh -c "'$sinter' bench '$f' --predict --target=cuda:sm_80 >'$work/one'"
check "H100 runs the code of sm_80 then" grep -q '^H100-SXM, code of sm_80' "$work/one"
refuses "an architecture without a board" 2 'error\[C001\].*no board.*sm_120' "$sinter" bench "$f" --predict --target=cuda:sm_120
must "as JSON" sh -c "'$sinter' bench '$f' --predict --json >'$work/json'"
check "which does not claim to be measured" grep -q '"measured": false' "$work/json"
check "and has a time for each program" sh -c "grep -c '\"predicted_ms\":' '$work/json' | grep -qx 15"

must "writes the manifest" "$sinter" build "$f" --target=cuda:sm_80 --emit=manifest -o "$work/m"
check "and no program" test ! -e "$work/m"
check "which knows every launch" grep -q '"nest": "contract"' "$work/m.manifest.json"
finish
