#!/usr/bin/env bash
# `sinter run`: the program comes from the cache when it is there, and is another when anything that decides it changes;
# its words, exit codes and output are the program's own.
. "$(dirname "$0")/lib.sh"
f=$fixtures/cnn_small
export XDG_CACHE_HOME=$work/cache
cp "$f.yaml" "$work/m.yaml"
step=(step --input "$f.input.safetensors" --target "$f.target.safetensors" --weights "$f.init.safetensors" --steps 2)
entries() { find "$XDG_CACHE_HOME/sinter" -type f 2>/dev/null | wc -l; }
run() { "$sinter" run "$work/m.yaml" --no-variants "$@" 2>"$work/log"; }

must "builds and runs" run "${step[@]}" --log "$work/a.jsonl"
check "and says what it built" grep -q 'training step .* kernels' "$work/log"
check "stdout is the program's" sh -c "'$sinter' run '$work/m.yaml' --no-variants info 2>/dev/null | head -n 1 | grep -q '^model'"
check "runs again" run "${step[@]}" --log "$work/b.jsonl"
check "from the cache" test ! -s "$work/log"
same "with the same result" "$work/a.jsonl" "$work/b.jsonl"
check "one entry" test "$(entries)" = 1
check "another setting is another program" run --set width=5 info
check "as is another line of the description" sh -c "echo '# more' >>'$work/m.yaml'"
check "which runs" run info
check "three entries" test "$(entries)" = 3
for entry in "$XDG_CACHE_HOME"/sinter/*; do printf 'damaged' | dd of="$entry" bs=1 seek=100000 conv=notrunc status=none; done
check "a damaged entry is built again" run info
check "and says so" grep -q 'training step' "$work/log"
check "runs without a cache" run --no-cache info
check "three entries still" test "$(entries)" = 3

program() { "$sinter" "$@"; }
refuses "train is short for run SPEC train" 0 'run tests/e2e/mnist.yaml train --data .* --resume auto' program train \
    tests/e2e/mnist.yaml --data "$fashion" --limit 300 --max-steps 2 --output-dir "$work/t"
refuses "the program's exit code is sinter's" 4 'error\[W001\]' program predict "$work/m.yaml" "$work/none.png" --output-dir "$work/none"
refuses "the program's unknown verb" 2 "error\[C003\].*'train'" program run "$work/m.yaml" trian
refuses "no verb" 2 'error\[C001\].*needs a verb' program run "$work/m.yaml"
refuses "a place for the program" 2 'error\[C001\].*leave out' program run "$work/m.yaml" -o "$work/p" info
refuses "a bad description" 3 'error\[' program run --set widht=3 "$work/m.yaml" info
finish
