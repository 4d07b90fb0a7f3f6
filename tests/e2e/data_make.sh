#!/usr/bin/env bash
# `sinter data make`: what is drawn, how much of it, the same for the same seed, nothing written over.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

sum() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum); }
counts() { # FOLDER PATTERN: how many files, by folder, each number once
    find "$1" -name "$2" -printf '%h\n' | sort | uniq -c | awk '{ print $1 }' | sort -un | tr '\n' ' '
}

must "glyphs" sh -c "'$sinter' data make glyphs36 g --count 6 >line"
check "says what was written" grep -qx 'g: 36 classes, 216 + 72 + 72 grey images of 32x32 in train, val and test (format: image_folder)' line
check "a folder for each class of each split" test "$(find g -mindepth 2 -type d | wc -l)" = 108
check "as many in each" test "$(counts g/train '*.png')$(counts g/val '*.png')$(counts g/test '*.png')" = "6 2 2 "
check "nothing else" test "$(find . -name '*.making*')" = ""
must "the same again" "$sinter" data make glyphs36 g2 --count=6
check "has the same bytes" test "$(sum g)" = "$(sum g2)"
must "fewer of them" "$sinter" data make glyphs36 g3 --count 2 --seed 0
same "are the first ones" g/train/Q/0001.png g3/train/Q/0001.png
must "another seed" "$sinter" data make glyphs36 g4 --count 2 --seed 1
check "gives others" sh -c '! cmp -s g3/train/Q/0001.png g4/train/Q/0001.png'
before=$(sum g)
refuses "a folder that is there" 7 "error\[C004\]: 'g' exists" "$sinter" data make glyphs36 g
check "is left as it was" test "$(sum g)" = "$before"
refuses "a place that is not" 7 "error\[C005\]" "$sinter" data make shapes nowhere/s

must "shapes" sh -c "'$sinter' data make shapes s --count 2 --size 24 >line"
check "ten classes" test "$(find s/train -mindepth 1 -type d -printf '%f ' | wc -w)" = 10
must "scenes" sh -c "'$sinter' data make scenes c --count 3 --size 48 >line"
check "a mask for each image" test "$(cd c/train/images && echo *) $(cd c/val/images && echo *)" = "$(cd c/train/masks && echo *) $(cd c/val/masks && echo *)"
check "and the classes' names" test "$(wc -l <c/classes.txt)" = 8

must "a page" sh -c "'$sinter' data make page p.png >line"
check "and its text" sh -c "grep -c '' p.txt | grep -qx 11; grep -qx 'EXACTLY 90 STEPS' p.txt"
printf 'one 1\nTWO 2\n' >in.txt
must "a text of one's own" "$sinter" data make page q.png --text in.txt --size 20
check "in capitals" test "$(tr '\n' , <q.txt)" = "ONE 1,TWO 2,"
printf 'WHAT?\n' >in.txt
refuses "what no glyph is learnt for" 4 "error\[D021\]: 'in.txt': line 1: '\?'" "$sinter" data make page q.png --text in.txt
refuses "a text that is not there" 4 "error\[D002\]" "$sinter" data make page q.png --text no.txt
refuses "a page that is no picture" 2 "error\[C001\]" "$sinter" data make page q.jpg

check "help of the verbs" sh -c "'$sinter' data --help | grep -q '^  make '"
check "help" sh -c "'$sinter' data make --help | grep -q -- '--count'"
check "help of sinter" sh -c "'$sinter' --help | grep -q 'sinter data make'"
refuses "no verb" 2 "" "$sinter" data
refuses "another verb" 2 "error\[C003\]" "$sinter" data mak
refuses "another kind" 2 "error\[C003\].*glyphs36, shapes" "$sinter" data make glyphs x
refuses "no place" 2 "error\[C001\].*DIR" "$sinter" data make shapes
refuses "an option without a value" 2 "error\[C001\].*--count" "$sinter" data make shapes x --count
refuses "another option" 2 "error\[C001\].*--cont" "$sinter" data make shapes x --cont 3
refuses "a size that is none" 2 "error\[C002\].*--size" "$sinter" data make shapes x --size 12
refuses "text in a folder" 2 "error\[C001\]" "$sinter" data make shapes x --text in.txt
finish
