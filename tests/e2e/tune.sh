#!/usr/bin/env bash
# --tune. On GPUs contractions get the tiles that are predicted to be fastest, never slower ones than the standard's; a
# second build compiles nothing anew and gives the same bytes; the program computes what it did. On CPUs they get the
# algorithm that was measured to be fastest, under the same rules.
. "$(dirname "$0")/lib.sh"
export SINTER_CUDA_VIRTUAL=$PWD/${BUILD:-build}/libsinter_cuda_virtual.so
tensors=$PWD/${BUILD:-build}/tests/tensors
spec=models/cnn.yaml
build() { "$sinter" build "$spec" --precision fp16 --batch 16 --no-variants "$@"; }
refuses "tuning without a board" 2 'error\[C001\].*--tune for GPUs needs one of a board' build --tune --target=cuda:sm_120 -o "$work/q"
refuses "measuring another CPU" 2 'error\[C001\].*kernels for aarch64 do not run' build --tune --target=aarch64 -o "$work/q"

entries() { (cd "$XDG_CACHE_HOME/sinter" && stat -c '%n %i' ./* | sort); } # a file that is written again is another one
# Columns: before tuning, and with what was chosen.
measured() {
    awk '/measured [0-9.]* us instead of/ { said++; if ($(NF - 8) + 0 > $(NF - 4) + 0) bad = 1 }
         / sum$|F\([24]x[24]\)$|as modelled$/ { n++ } END { exit !(said == 2 && n && !bad) }' "$work/cpu.text"
}
export XDG_CACHE_HOME=$work/cache.cpu
cpu() { "$sinter" build "$spec" --batch 16 --no-variants "$@"; }
must "builds as usual" cpu -o "$work/plain"
must "measures" cpu --tune --explain-fusion -o "$work/cpu"
cp "$work/said" "$work/cpu.text"
check "and takes nothing that was slower" measured
entries >"$work/before"
check "measures again" cpu --tune -o "$work/again"
entries >"$work/after"
same "which takes the times that are known" "$work/before" "$work/after"
same "and gives the same bytes" "$work/cpu" "$work/again"
check "an input" "$tensors" "$work/in" input 16,1,28,28 1
check "a target" "$tensors" "$work/to" target 16 2 10
for p in plain cpu; do
    check "$p steps" "$work/$p" step --input "$work/in" --target "$work/to" --save-grads "$work/$p.grads" --log "$work/$p.jsonl"
done
check "with the same gradients" "$compare" 3e-5 "$work/plain.grads" "$work/cpu.grads"

why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
if [ -n "$why" ]; then
    skip "tunes" "$why"
    finish
fi
export XDG_CACHE_HOME=$work/cache # an empty one
tune() { build --target=cuda:sm_80 --tune --explain-fusion -o "$1" >"$1.text"; }
# Columns: predicted with the standard tile, and with the tile that was chosen.
sound() {
    awk '/predicted [0-9.]* us instead of/ { said = 1 }
         / us +[0-9.]+ us / { n++; match($0, /[0-9.]+ us +[0-9.]+ us/); split(substr($0, RSTART, RLENGTH), t, / us +/)
                              if (t[2] + 0 > t[1] + 0) { print; bad = 1 } }
         END { exit !(said && n && !bad) }' "$work/tuned.text"
}
must "tunes" tune "$work/tuned"
check "predicts nothing slower than the standard tiles" sound
entries >"$work/before"
check "tunes again" tune "$work/again"
entries >"$work/after"
same "which compiles nothing anew" "$work/before" "$work/after"
same "which gives the same bytes" "$work/tuned" "$work/again"

step() { "$work/tuned" step --device "$1" --input "$work/in" --target "$work/to" --save-weights "$work/$1.weights" --log "$work/$1.jsonl"; }
check "the program steps on the virtual device" step cuda:virtual
check "and on the CPU" step cpu
check "with equal losses" "$compare" 2e-3 "$work/cpu.jsonl" "$work/cuda:virtual.jsonl"
check "and weights" "$compare" --mean 2e-3 "$work/cpu.weights" "$work/cuda:virtual.weights"
finish
