#!/usr/bin/env bash
# Golden tests: tests/golden/x.yaml with siblings x.STAGE. A sibling's suffix names the stage: the compiler stops after
# it, and its dump of the training program must be the sibling, to the letter. The machine is fixed, so that the same
# text comes out everywhere. A comment `# flags: ...` in the first line of x.yaml is added to the command line.
#   --rewrite   writes the siblings that exist from what the compiler says now; `git diff` then shows what changed.
#               A new one: touch tests/golden/x.STAGE first.
set -u
cd "$(dirname "$0")/golden" || exit 1
sinter=$(cd ../.. && pwd)/${BUILD:-build}/sinter
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

for golden in *.spec *.graph *.grad *.simplify *.fuse *.schedule *.plan *.loop; do
    [ -e "$golden" ] || continue
    spec=${golden%.*}.yaml stage=${golden##*.}
    rm -f "$work"/*
    flags=$(sed -n '1s/^# flags: //p' "$spec")
    # shellcheck disable=SC2086 # the flags are words
    if ! "$sinter" build "$spec" $flags -o "$work/out" --target=cpu:x86-64-v3 --stop-after="$stage" --dump="$stage" \
        --dump-dir="$work" >"$work/said" 2>&1; then
        cat "$work/said"
        echo "FAIL golden: $golden: the compiler failed"
        status=1
        continue
    fi
    # One dump a program. The training program comes first; --infer-only leaves the other.
    made=
    for file in "$work/spec.txt" "$work/train.$stage.txt" "$work/infer.$stage.txt"; do
        [ -n "$made" ] || [ ! -e "$file" ] || made=$file
    done
    if [ -z "$made" ]; then
        echo "FAIL golden: $golden: no dump was written"
        status=1
    elif [ "${1:-}" = --rewrite ]; then
        cp "$made" "$golden"
    elif diff -u "$golden" "$made" >"$work/diff"; then
        echo "PASS golden: $golden"
    else
        head -n 40 "$work/diff"
        echo "FAIL golden: $golden"
        status=1
    fi
done
exit $status
