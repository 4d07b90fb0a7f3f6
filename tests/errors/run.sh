#!/bin/sh
# Every NAME.yaml here must give exactly the message and the exit code that NAME.err holds: the first line is
# `exit N`, the rest is standard error. What git should not hold (large, deep, binary files, folders) is made in a
# temporary folder; its expected messages are here as well.
#
#   tests/errors/run.sh [--write] [path of sinter]     one line for each case: PASS name or FAIL name
#
# A comment `# flags: ...` in the first line of a case is added to the command line.
write=
if [ "$1" = --write ]; then
    write=1
    shift
fi
sinter=${1:-$(dirname "$0")/../../build/sinter}
sinter=$(cd "$(dirname "$sinter")" && pwd)/$(basename "$sinter")
cd "$(dirname "$0")" || exit 2
here=$(pwd)
temp=$(mktemp -d) || exit 2
trap 'rm -rf "$temp"' EXIT INT TERM
failed=0

# case NAME FILE [FLAG...]: from the current folder
case_run() {
    name=$1
    shift
    timeout 20 "$sinter" check "$@" >/dev/null 2>"$temp/.err"
    code=$?
    { echo "exit $code"; cat "$temp/.err"; } >"$temp/.got"
    if [ -n "$write" ]; then
        cp "$temp/.got" "$here/$name.err"
        echo "WROTE $name"
    elif cmp -s "$temp/.got" "$here/$name.err"; then
        echo "PASS errors/$name"
    else
        echo "FAIL errors/$name"
        diff "$here/$name.err" "$temp/.got"
        failed=1
    fi
}

repeat() { # repeat TEXT COUNT
    awk -v t="$1" -v n="$2" 'BEGIN { for (i = 0; i < n; i++) printf "%s", t }'
}

for file in *.yaml; do
    flags=$(sed -n '1s/^# flags: //p' "$file")
    # shellcheck disable=SC2086 # the flags are words
    case_run "${file%.yaml}" "$file" $flags
done

cd "$temp" || exit 2
head='input: {image: [1, 28, 28]}'
mkdir s002_directory
mkfifo s002_fifo
printf '%s\nmodel:\n  a: ReLU() # \377\n' "$head" >s005_utf8
printf '%s\nmodel:\n  a: ReLU() # \000\n' "$head" >s005_nul
printf '\377\376i\000n\000' >s005_utf16
{ printf '%s\n' "$head"; repeat '# 3456789012345\n' 16384; } >s006_large
{ printf 'x: '; repeat '[' 70; repeat ']' 70; } >s007_deep
{ printf 'x: '; repeat '[' 100000; } >s007_brackets
{ printf '%s\na: &a 1\nb:\n' "$head"; repeat '  - *a\n' 1001; } >s008_uses
{
    printf 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n'
    for i in 1 2 3 4 5 6 7 8 9; do
        l=$((i - 1))
        printf 'a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n' \
            $i $i $l $l $l $l $l $l $l $l $l $l
    done
} >s008_bomb
{ printf '%s\nmodel:\n' "$head"; repeat '  - ReLU()\n' 4097; } >s030_layers
printf '%s\nmodel:\n  - {repeat: 4096, do: {repeat: 4096, do: ReLU()}}\n' "$head" >s030_repeat
for i in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32; do
    printf '%s\nmodel: [ReLU()]\n' "$head" >part$i.yaml
    printf '  p%s: part%s.yaml\n' $i $i >>.imports
done
{ printf '%s\nmodel: [ReLU()]\nimports:\n' "$head"; cat .imports; } >s035_imports
{ printf '%s\nmodel: [ReLU()]\nparams:\n' "$head"; awk 'BEGIN { for (i = 0; i < 257; i++) printf "  p%d: %d\n", i, i }'; } >s032_params
mkdir outside inside
printf '%s\nmodel: [ReLU()]\n' "$head" >outside/secret.yaml
ln -s ../outside/secret.yaml inside/link.yaml
printf 'imports: {a: link.yaml}\n%s\nmodel: [a()]\n' "$head" >inside/s034_link
case_run s034_link inside/s034_link
case_run s001_missing s001_missing
for file in s0*; do case_run "$file" "$file"; done
exit $failed
