#!/usr/bin/env bash
# kill -9 while a model trains: at random moments, again and again, and at every kind of call that writes a checkpoint, a
# write half done. `--resume auto` ends with the bytes of the run that was left alone. SEED= KILLS= POINTS= for more.
. "$(dirname "$0")/lib.sh"
RANDOM=${SEED:-7}
KILLS=${KILLS:-12} POINTS=${POINTS:-24}

cat >"$work/kill.yaml" <<'SPEC'
spec: 1
name: kill
input: {image: [1, 28, 28]}
model:
  conv1: Conv2d(_, 8, 3, padding=1)
  bn1: BatchNorm2d(_)
  relu1: ReLU()
  pool1: MaxPool2d(4)
  flat: Flatten()
  drop: Dropout(0.2)
  fc: Linear(_, 10)
data: {format: idx, root: /usr/share/datasets/fashion-mnist, num_classes: 10, split: {val: 0.1}, normalize: {mean: 0.286, std: 0.353}}
train:
  loss: CrossEntropyLoss()
  optimizer: Adam(lr=0.002)
  batch_size: 32
  accumulate: 2
  ema: 0.9
  schedule: OneCycleLR(0.01)
  epochs: 4
SPEC
must "builds" "$sinter" build "$work/kill.yaml" -o "$work/kill" --no-variants
run() { "${@:3}" "$work/kill" train --data "$fashion" --limit "$2" --save-every 3 --output-dir "$1" --resume auto; }

# No word of the shell's on what was killed.
quiet() { "$@" >/dev/null 2>&1; }
until_done() { # DIR LIMIT, after the kills
    run "$1" "$2" env >"$work/said" 2>&1
}

# ---- at random moments ----
begin=$(date +%s%N)
must "runs undisturbed" run "$work/whole" 3000 env
took=$((($(date +%s%N) - begin) / 1000000))
killed=0
for ((i = 0; i < KILLS; i++)); do
    { run "$work/random" 3000 exec & } >"$work/log" 2>&1
    pid=$!
    ms=$(((RANDOM * 32768 + RANDOM) % (took / 3 + 1) + 1))
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    kill -9 $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
done
check "some of the $KILLS kills met a run" test $killed -gt 0
check "resumes after $killed kills" until_done "$work/random" 3000
same "killed at random, not killed: last" "$work/whole/weights/last.safetensors" "$work/random/weights/last.safetensors"
same "killed at random, not killed: best" "$work/whole/weights/best.safetensors" "$work/random/weights/best.safetensors"
same_lines() { # but for the clock
    sed -E 's/"(seconds|images_per_second)": [^,}]*//g' "$1" >"$work/1" && sed -E 's/"(seconds|images_per_second)": [^,}]*//g' "$2" >"$work/2" &&
        cmp "$work/1" "$work/2"
}
check "the history is the same" same_lines "$work/whole/metrics.jsonl" "$work/random/metrics.jsonl"

# ---- at the calls that write ----
if ! ${CC:-cc} -shared -fPIC -O1 -w -o "$work/at.so" tests/kill/at.c -ldl 2>"$work/said"; then
    skip "killed while it writes" "no compiler for tests/kill/at.c"
    finish
fi
if [ -n "${SAN:-}" ]; then
    skip "killed while it writes" "sanitizers want to be the first library"
    finish
fi
must "runs undisturbed, a few steps" run "$work/small" 256 env
must "counts its calls" run "$work/counted" 256 env LD_PRELOAD="$work/at.so" KILL_COUNT="$work/count"
total=$(cat "$work/count")
bad=0 met=0
for ((i = 0; i < POINTS; i++)); do
    at=$((1 + i * (total - 1) / (POINTS - 1)))
    quiet run "$work/at$at" 256 env LD_PRELOAD="$work/at.so" KILL_AT=$at
    [ $? = 137 ] && met=$((met + 1))
    if ! until_done "$work/at$at" 256 || ! cmp -s "$work/small/weights/last.safetensors" "$work/at$at/weights/last.safetensors" ||
        ! cmp -s "$work/small/weights/best.safetensors" "$work/at$at/weights/best.safetensors" ||
        [ -n "$(find "$work/at$at" -name '.*.tmp')" ]; then
        echo "at call $at of $total" >>"$work/bad"
        bad=1
    fi
    rm -rf "${work:?}/at$at"
done
cp "$work/bad" "$work/said" 2>/dev/null
check "$total calls write; killed at $POINTS of them, each time" test $met = "$POINTS"
cp "$work/bad" "$work/said" 2>/dev/null
if [ $bad = 0 ]; then pass "killed while it writes, resumed: the same bytes"; else fail "killed while it writes, resumed: the same bytes"; fi
finish
