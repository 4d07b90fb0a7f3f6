#!/usr/bin/env bash
# The command lines of both programs: usage errors, places that cannot be written, a second run on the same folder.
. "$(dirname "$0")/lib.sh"
spec=$fixtures/cnn_small.yaml
must "builds" "$sinter" build "$spec" -o "$work/p"

for program in "$sinter" "$work/p"; do
    name=$(basename "$program")
    check "$name --help" "$program" --help
    check "$name --version" "$program" --version
    refuses "$name without a verb" 2 '' "$program"
    refuses "$name with an unknown verb" 2 'error\[C003\]' "$program" trian
done

# The compiler.
refuses "unknown option" 2 "error\[C001\].*--targte.*--target" "$sinter" build "$spec" -o "$work/q" --targte=cpu
refuses "missing value" 2 'error\[C001\]' "$sinter" build "$spec" -o
refuses "no description" 2 '' "$sinter" build -o "$work/q"
refuses "description that is not there" 4 "error\[S001\].*No such file" "$sinter" build "$work/none.yaml" -o "$work/q"
refuses "folder as description" 4 'error\[S002\].*not a regular file' "$sinter" build "$work" -o "$work/q"
refuses "unknown stage" 2 'fuse' "$sinter" build "$spec" -o "$work/q" --dump=fsue
refuses "unknown target" 2 'x86-64-v3' "$sinter" build "$spec" -o "$work/q" --target=cpu:z80
refuses "unknown parameter" 3 'width' "$sinter" build "$spec" -o "$work/q" --set widht=3
refuses "output that is a folder" 7 'error\[C004\]' "$sinter" build "$spec" -o "$work"
refuses "output folder that is not there" 7 'error\[C005\]' "$sinter" build "$spec" -o "$work/no/such/q"
refuses "output that begins with a dash" 7 'error\[C004\]' "$sinter" build "$spec" -o -q
check "nothing was written" test ! -e "$work/q"
cp "$work/p" "$work/before"
refuses "output exists and is no program of ours" 7 'error\[C004\].*--force' sh -c \
    "echo mine >'$work/mine'; '$sinter' build '$spec' -o '$work/mine'"
check "which is still there" grep -q mine "$work/mine"
check "--force replaces it" "$sinter" build "$spec" -o "$work/mine" --force

# The built program.
f=$fixtures/cnn_small
refuses "train: unknown option" 2 "error\[C001\].*--epoch.*--epochs" "$work/p" train --epoch 3
refuses "train: a word for a number" 2 'error\[C002\].*ten' "$work/p" train --data "$fashion" --format idx --epochs=ten
refuses "train: negative number" 2 'error\[C002\]' "$work/p" train --data "$fashion" --format idx --epochs=-1
refuses "train: number with a tail" 2 'error\[C002\]' "$work/p" train --data "$fashion" --format idx --epochs=3x
refuses "train: number that is too large" 2 'error\[C002\]' "$work/p" train --data "$fashion" --format idx --epochs=99999999999999999999
refuses "train: no threads" 2 'threads' "$work/p" train --data "$fashion" --threads=0
refuses "run: output folder that is not there" 7 'error\[C005\]' "$work/p" run --input "$f.input.safetensors" \
    --weights "$f.init.safetensors" --output "$work/no/such/o.safetensors"
if is_mortal 2>/dev/null; then
    mkdir "$work/locked" && chmod 555 "$work/locked"
    refuses "a folder that may not be written" 7 'error\[C005\].*Permission denied' \
        "${mortal[@]}" "$sinter" build "$spec" -o "$work/locked/p"
    refuses "run: a folder that may not be written" 7 'error\[C005\].*Permission denied' "${mortal[@]}" "$work/p" run \
        --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/locked/o.safetensors"
else
    skip "a folder that may not be written" "this user may write everywhere"
fi
full() ( # a limit of 512 bytes a file stands for a full disk
    trap '' XFSZ
    ulimit -f 1
    "$work/p" run --input "$f.input.safetensors" --weights "$f.init.safetensors" --output "$work/full.safetensors"
)
refuses "a write that fails" 7 'error\[E00[12]\].*full' full
check "leaves nothing" sh -c "! ls '$work'/*full*"
check "info on a closed pipe ends quietly" sh -c "'$work/p' info 2>'$work/err' | head -c 1 >/dev/null; test ! -s '$work/err'"

# Two runs on one folder.
"$work/p" train --data "$fashion" --format idx --epochs 50 --output-dir "$work/run" >"$work/first.log" 2>&1 &
first=$!
for ((i = 0; i < 200; i++)); do
    [ -d "$work/run" ] && break
    sleep 0.05
done
sleep 0.5
refuses "a second run on the same folder" 7 'error\[C007\]' "$work/p" train --data "$fashion" --format idx --epochs 50 --output-dir "$work/run"
kill $first
wait $first 2>/dev/null
finish
