#!/usr/bin/env bash
# `OUT ocr`: a small network learns characters and reads pages that it has not seen.
. "$(dirname "$0")/lib.sh"
spec=$PWD/examples/C-characters/cnn.yaml
cd "$work" || exit 1

must "characters to learn" "$sinter" data make glyphs36 glyphs36 --count 100
must "builds" "$sinter" build "$spec" -o reader --no-variants
must "learns" ./reader train --epochs 5 --output-dir run
w=(--weights run/weights/best.safetensors)
for seed in 1 2 12; do # three fonts, one of them light on dark, one with letters that touch
    must "page $seed" "$sinter" data make page "p$seed.png" --seed "$seed" --size "$((22 + 2 * seed))"
    check "reads page $seed" ./reader ocr "p$seed.png" "${w[@]}" --truth "p$seed.txt" --json "p$seed.json" --boxes "b$seed.png"
    check "95 of 100 characters are right" awk -v x="$(number "p$seed.json" accuracy)" 'BEGIN { exit !(x >= 0.95) }'
done
./reader ocr p1.png "${w[@]}" >one
check "words and lines" test "$(wc -l <one) $(wc -w <one)" = "9 $(wc -w <p1.txt)"
check "a box for each character" sh -c "test \$(grep -c '\"class\"' p1.json) = \$(tr -d ' \n' <p1.txt | wc -c)"
check "the picture with boxes is a picture" ./reader ocr b1.png "${w[@]}"
must "several pages" sh -c "./reader ocr p1.png p2.png --weights run/weights/best.safetensors >two"
check "each under its name" sh -c "grep -qx 'p1.png:' two && grep -qx 'p2.png:' two"
check "the same for any number of threads" sh -c "./reader ocr p1.png --weights run/weights/best.safetensors --threads 1 --json - >a; ./reader ocr p1.png --weights run/weights/best.safetensors --threads 3 --json - >b; cmp a b"
head -c 3000 p1.png >cut.png
refuses "a damaged page among others" 4 "(error|warning)\[D012\]: 'cut.png'" ./reader ocr cut.png p1.png "${w[@]}"
check "the other is read" grep -qxFf one out
refuses "no page" 2 "error\[C001\]" ./reader ocr "${w[@]}"
refuses "boxes of two pages" 2 "error\[C003\].*--boxes" ./reader ocr p1.png p2.png "${w[@]}" --boxes b.png
refuses "boxes where nothing can be written" 7 "error\[C005\]" ./reader ocr p1.png "${w[@]}" --boxes no/b.png
check "help knows it" sh -c "./reader --help | grep -q '^  ocr ' && ./reader ocr --help | grep -q -- --boxes"

grep -v '^ocr:' "$spec" >plain.yaml
must "a program that is not asked for it" "$sinter" build plain.yaml -o plain --no-variants
refuses "says what its description lacks" 2 "error\[C008\].*ocr" ./plain ocr p1.png "${w[@]}"
check "and does not list it" sh -c "! ./plain --help | grep -q '^  ocr'"
check "and is smaller" test "$(stat -c %s plain)" -lt "$(stat -c %s reader)"
sed 's/ink: dark/ink: blue/' "$spec" >bad.yaml
refuses "another ink" 3 "bad.yaml:[0-9]*:[0-9]*: error\[S014\].*dark, light" "$sinter" check bad.yaml
finish
