#!/usr/bin/env bash
# Layers that are kept: their values in a file, and as points that t-SNE lays out.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

cat >net.yaml <<'SPEC'
spec: 1
name: net
input: {image: [1, 16, 16]}
model:
  conv: Conv2d(_, 8, 3, padding=1)
  relu: ReLU()
  pool: MaxPool2d(2)
  flat: Flatten()
  fc1: Linear(_, 32)
  relu2: ReLU()
  fc: Linear(_, 36)
data: {format: image_folder, root: glyphs, normalize: {mean: 0.7, std: 0.25}}
train: {loss: CrossEntropyLoss(), optimizer: Adam(lr=0.003), batch_size: 12, epochs: 12}
SPEC
must "draws" "$sinter" data make glyphs36 glyphs --count 15 --size 16
must "builds" "$sinter" build net.yaml -o plain --no-variants
must "builds with layers kept" "$sinter" build net.yaml -o net --no-variants --keep relu2,conv,fc
must "trains half of it" ./plain train --output-dir run --max-steps 270
must "goes on where the plain program stopped: the model is the same" ./net train --output-dir run --resume auto
w=(--weights run/weights/best.safetensors)

must "features of a split" ./net features --split test "${w[@]}" --layer relu2,conv --output f.st --json f.json
shape() { "$sinter" weights ls "$1" | awk -v n="$2" '$1 == n { print $3 }'; }
check "of every item" test "$(shape f.st relu2) $(shape f.st conv) $(shape f.st labels)" = "[180,32] [180,8,16,16] [180]"
check "says how many" test "$(number f.json items)" = 180
must "with one thread" ./net features --split test "${w[@]}" --layer relu2,conv --output f1.st --threads 1
same "the same bytes" f.st f1.st
must "some of them" ./net features --split test "${w[@]}" --layer relu2 --items 30 --output few.st
check "as many" test "$(shape few.st relu2)" = "[30,32]"
must "of the last layer" ./net features glyphs/test/A "${w[@]}" --layer fc --output fc.st
must "of the output" ./net features glyphs/test/A "${w[@]}" --layer output --output output.st
data() { tail -c "$((5 * 36 * 4))" "$1"; } # of five images
check "which are the same values" sh -c "[ '$(data fc.st | cksum)' = '$(data output.st | cksum)' ]"
check "and not all alike" sh -c "[ $(data fc.st | od -An -v -tx4 -w4 | sort -u | wc -l) -gt 100 ]"
refuses "a layer that is not kept" 2 "error\[C002\].*'pool'.*output, relu2, conv, fc" ./net features glyphs/test/A "${w[@]}" --layer pool --output x.st
check "says how it would be" sh -c "./net features glyphs/test/A --weights run/weights/best.safetensors --layer pool --output x.st 2>&1 | grep -q 'build it with --keep pool'"
refuses "no file to write" 2 "error\[C001\].*--output" ./net features glyphs/test/A "${w[@]}"
mkdir damaged && cp glyphs/test/A/*.png damaged && head -c 200 glyphs/test/A/0000.png >damaged/b.png
refuses "a damaged image" 4 "\[D012\].*damaged/b.png" ./net features damaged "${w[@]}" --layer fc --output d.st
check "leaves the others" test "$(shape d.st fc)" = "[5,36]"
refuses "no image" 4 "error\[D001\]" ./net features "$PWD/run" "${w[@]}" --layer fc --output d.st
refuses "a program that keeps nothing" 2 "error\[C008\].*keep" ./plain tsne "${w[@]}"

must "t-SNE" ./net tsne --split train "${w[@]}" --layer relu2 --items 300 --dims 2,3 --perplexity 15 --output t --json t.json
check "a line for each item" test "$(wc -l <t-2d.csv) $(wc -l <t-3d.csv)" = "301 301"
check "with its place, class and three numbers" grep -qE '^train/Q/[0-9]+.png,26,Q(,-?[0-9.e-]+){3}$' t-3d.csv
check "a plot" sh -c "grep -q '</svg>' t-2d.svg && grep -q 't-SNE of relu2, 300 images' t-2d.svg"
check "classes lie together" awk -v x="$(number t.json agreement)" 'BEGIN { print x; exit !(x > 0.3) }'
must "with three threads" ./net tsne --split train "${w[@]}" --layer relu2 --items 300 --perplexity 15 --output t3 --threads 3
same "the same points" t-2d.csv t3-2d.csv
must "of a layer with a plane" ./net tsne --split test "${w[@]}" --layer conv --items 50 --output c
refuses "two layers at once" 2 "error\[C002\]" ./net tsne "${w[@]}" --layer conv,fc --output c
refuses "too few items" 2 "error\[C002\].*--items" ./net tsne "${w[@]}" --layer fc --items 3 --output c

sed '/^data:/i keep: [relu2, flat]' net.yaml >kept.yaml
must "from the description" "$sinter" build kept.yaml -o kept --no-variants
check "the layers of it" sh -c "./kept features glyphs/test/A --weights run/weights/best.safetensors --output k.st | grep -q \"'relu2' of 32 values, 'flat' of 512 values\""
refuses "a layer that there is not" 3 "error\[S021\].*relu9" "$sinter" build net.yaml -o x --keep relu9
finish
