#!/usr/bin/env bash
# `sinter data ls|split|check`, and programs that read what they wrote: formats are guessed, a split file comes back with
# its hash, damage, leaks and empty classes are named. The sets are written here.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

# set.py FOLDER N: wild/{cat,dog,emu}/I.png, 8x8 grey, all different; value FILE KEY...: a value of a JSON file.
cat >tool.py <<'E2'
import json, os, struct, sys, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def png(path, value, w=8, h=8):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    rows = b"".join(b"\0" + bytes((value * 7 + y * 31 + x * 3) % 251 for x in range(w)) for y in range(h))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
if sys.argv[1] == "set":
    for k, name in enumerate(("cat", "dog", "emu")):
        for i in range(int(sys.argv[3])):
            png("%s/%s/%02d.png" % (sys.argv[2], name, i), 40 * k + i)
elif sys.argv[1] == "png":
    png(sys.argv[2], int(sys.argv[3]), *map(int, sys.argv[4:]))
else:
    v = json.load(open(sys.argv[2]))
    for key in sys.argv[3:]:
        v = v[int(key)] if isinstance(v, list) else v[key]
    print(json.dumps(v) if not isinstance(v, str) else v)
E2
value() { python3 -B tool.py value "$@"; }
set -- python3 -B tool.py
"$@" set wild 20

must "ls" sh -c "'$sinter' data ls wild --json ls.json >ls.txt"
check "guesses the format" grep -qx 'wild: image_folder (guessed), 3 classes, 60 items' ls.txt
check "counts" grep -qx '  dog         16        2        2       20' ls.txt
check "sizes" grep -qx 'sizes (height x width): 8x8 grey (60)' ls.txt
check "JSON says the same" test "$(value ls.json splits) $(value ls.json classes 1) $(value ls.json sizes 0 items)" = \
    '{"train": 48, "val": 6, "test": 6} {"name": "dog", "train": 16, "val": 2, "test": 2} 60'
refuses "ls of nothing" 4 "error\[D001\]" "$sinter" data ls none
refuses "no folder" 2 "error\[C001\]" "$sinter" data ls
refuses "an option of no verb" 2 "unknown option '--formt'; did you mean '--format'" "$sinter" data ls wild --formt=x
refuses "a format of no name" 3 "error\[S017\].*" "$sinter" data ls wild --format=zip
check "so does ops" sh -c "'$sinter' ops | grep -q '^format    idd '"
check "help lists the formats" sh -c "'$sinter' data ls --help | grep -q '^    voc_segmentation '"

# Every sign of a format, by names alone; what is inside is then refused by that format's reader.
guess() { # FORMAT FILE...
    local format=$1 f
    shift
    rm -rf sign
    for f; do mkdir -p "sign/${f%/*}" && : >"sign/$f"; done
    "$sinter" data check sign 2>/dev/null | grep -q "^sign: $format, " || "$sinter" data ls sign 2>/dev/null | grep -q "^sign: $format "
}
check "csv" guess csv ./labels.csv
check "idx" guess idx ./train-images-idx3-ubyte.gz
check "cifar10" guess cifar10 cifar-10-batches-bin/data_batch_1.bin
check "cifar100" guess cifar100 ./train.bin ./test.bin
check "svhn" guess svhn ./train_32x32.mat
check "nist36" guess nist36 ./nist36_train.mat
rm -rf sign
mkdir -p sign/VOCdevkit/VOC2012/ImageSets/Segmentation && echo a >sign/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt
"$@" png sign/VOCdevkit/VOC2012/JPEGImages/a.jpg 1 && "$@" png sign/VOCdevkit/VOC2012/SegmentationClass/a.png 0 1 1
check "voc" sh -c "'$sinter' data check sign | grep -q '^sign: voc_segmentation, 0 items: 1 damaged'"
for n in cityscapes:Ids idd:ids; do
    rm -rf sign
    "$@" png sign/leftImg8bit/train/ulm/a_leftImg8bit.png 1 && "$@" png sign/gtFine/train/ulm/a_gtFine_label${n#*:}.png 2
    mkdir -p sign/leftImg8bit/val
    check "${n%:*}" sh -c "'$sinter' data ls sign | grep -q '^sign: ${n%:*} (guessed)'"
done

# A split file: the same for the same seed, read back by a program, its hash in the run's folder.
must "split" sh -c "'$sinter' data split wild -o a.csv --train 0.5 --val 0.25 --test 0.25 --seed 7 --json split.json >split.txt"
check "its hash is that of the file" test "$(value split.json sha256)" = "$(sha256sum <a.csv | cut -d' ' -f1)"
check "and is printed" grep -q "^a.csv: 30 train, 15 val, 15 test, stratified; sha256 $(value split.json sha256)$" split.txt
check "each class by its share" test "$(grep -c '^val,dog/' a.csv) $(grep -c '^train,emu/' a.csv)" = "5 10"
refuses "nothing is written over" 7 "error\[C004\]: 'a.csv' exists" "$sinter" data split wild -o a.csv
must "the same again" "$sinter" data split wild -o a.csv --train 0.5 --val 0.25 --test 0.25 --seed 7 --force
check "is the same" test "$(value split.json sha256)" = "$(sha256sum <a.csv | cut -d' ' -f1)"
must "another seed" "$sinter" data split wild -o b.csv --train 0.5 --val 0.25 --test 0.25 --seed=8
check "is another" sh -c '! cmp -s a.csv b.csv'
refuses "a share that is none" 2 "error\[C002\]: --val" "$sinter" data split wild -o c.csv --val 2
refuses "a folder that is not there" 7 "error\[C005\]" "$sinter" data split wild -o no/c.csv
cat >wild.yaml <<'E2'
spec: 1
input: {image: [1, 8, 8]}
model:
  flat: Flatten()
  fc: Linear(_, 3)
data: {format: image_folder, root: wild, num_classes: 3, split: {file: a.csv}}
train: {loss: CrossEntropyLoss(), optimizer: SGD(lr=0.01), epochs: 1, batch_size: 5}
E2
must "a description that names it" "$sinter" build wild.yaml -o wild.exe
must "a run" ./wild.exe train --output-dir run
same "has that split" a.csv run/split.csv
check "and its hash" test "$(value run/env.json split_sha256)" = "$(value split.json sha256)"
check "on the command line" sh -c "./wild.exe train --output-dir run2 --split-file b.csv >/dev/null 2>&1 && cmp b.csv run2/split.csv"
must "ls of the description" sh -c "'$sinter' data ls wild.yaml >ls.txt"
check "knows the split" grep -qx '  all         30       15       15       60' ls.txt
check "and guesses nothing" grep -qx 'wild: image_folder, 3 classes, 60 items' ls.txt
sed -i 's/dog\/03/dog\/77/' b.csv
refuses "a split of other data" 4 "error\[D021\].*b.csv:[0-9]+: the data have no item 'dog/77.png'|b.csv:[0-9]+: error\[D021\]: the data have no item" \
    ./wild.exe train --output-dir run3 --split-file b.csv
check "a sound set" sh -c "'$sinter' data check wild | grep -qx 'wild: image_folder, 60 items: 0 damaged, 0 leaks between splits, 0 in two classes, 0 empty classes: sound'"

# What is wrong is named, and the exit code is 1.
mkdir bad bad/train bad/test && cp -r wild/* bad/train && cp -r wild/* bad/test && rm -r bad/test/emu bad/train/emu
rm bad/test/*/*.png && "$@" png bad/test/cat/90.png 200 && "$@" png bad/test/dog/91.png 210
cp bad/train/cat/05.png bad/test/cat/leak.png
cp bad/train/cat/06.png bad/train/dog/two.png
head -c 90 wild/cat/01.png >bad/train/cat/01.png
: >bad/train/dog/02.png
printf 'GIF89a' >bad/train/dog/odd.gif
python3 -B -c "
b = bytearray(open('bad/train/dog/04.png', 'rb').read()); b[60] ^= 1; open('bad/train/dog/04.png', 'wb').write(b)"
refuses "check of a bad set" 1 "" "$sinter" data check bad --json bad.json
cp "$work/out" bad.txt
check "a cut file" grep -q "^damaged\[D012\]: 'train/cat/01.png': ends early" bad.txt
check "an empty one" grep -qx "damaged\[D010\]: 'train/dog/02.png': empty file" bad.txt
check "one of another kind" grep -q "^damaged\[D011\]: 'train/dog/odd.gif'" bad.txt
check "a flipped bit" grep -q "^damaged\[D012\]: 'train/dog/04.png': CRC mismatch in IDAT" bad.txt
check "a leak" grep -qx "leak: 'train/cat/05.png' (\(train\|val\), cat) and 'test/cat/leak.png' (test, cat) are the same image" bad.txt
check "one image of two classes" grep -q "^two classes: 'train/.*two.png\|^two classes: 'train/cat/06.png'" bad.txt
check "all of it counted" grep -q ': 4 damaged, 1 leaks between splits, 1 in two classes, 0 empty classes$' bad.txt
check "JSON says the same" test "$(value bad.json ndamaged) $(value bad.json leaks) $(value bad.json conflicts) $(value bad.json sound) $(value bad.json damaged 0 id)" = "4 1 1 false \"D012\"" -o \
    "$(value bad.json ndamaged) $(value bad.json leaks) $(value bad.json conflicts) $(value bad.json sound) $(value bad.json damaged 0 id)" = "4 1 1 false D012"
mkdir -p wild/fox
refuses "an empty class" 1 "" "$sinter" data check wild
check "is named" grep -qx "empty: class 'fox' has no item in train" "$work/out"
rmdir wild/fox
refuses "a damaged set in one file" 1 "" sh -c "mkdir -p one && printf x >one/train-images-idx3-ubyte && '$sinter' data check one"
check "is damage too" grep -q "^damaged\[D004\]" "$work/out"
name=$(printf 'a\033[2J\nb.png') && printf x >"wild/cat/$name"
refuses "names are escaped" 1 "" "$sinter" data check wild
check "on stdout as well" grep -q "a\\\\x1b\[2J\\\\x0ab.png" "$work/out"
rm "wild/cat/$name"

# Masks, drawn and learnt.
must "scenes" "$sinter" data make scenes scenes --count 24 --size 48
must "ls of masks" sh -c "'$sinter' data ls scenes >ls.txt"
check "counts images that hold a class" grep -q '^  images with ' ls.txt
check "all of them" grep -qx 'scenes: mask_folder (guessed), 8 classes, 40 items' ls.txt
check "masks are sound" "$sinter" data check scenes
cat >scenes.yaml <<'E2'
spec: 1
input: {image: [3, 48, 48]}
model:
  conv1: Conv2d(_, 8, 3, padding=1)
  relu1: ReLU()
  conv2: Conv2d(_, 8, 3, padding=1)
data: {format: mask_folder, root: scenes, num_classes: 8}
train: {target: mask, loss: CrossEntropyLoss(ignore_index=255), optimizer: Adam(lr=0.01), epochs: 2, batch_size: 8}
E2
must "a description of masks" "$sinter" build scenes.yaml -o scenes.exe
check "init looks at masks" sh -c "'$sinter' init fcn --data scenes -o fcn.yaml | grep -qx 'looked at scenes: 8 classes, 48x48 colour; wrote fcn.yaml'"
check "and its description is one" sh -c "'$sinter' check fcn.yaml && grep -qx '  format: mask_folder' fcn.yaml"
refuses "a classifier for masks" 2 "error\[C002\].*holds masks \(mask_folder\)" "$sinter" init cnn --data scenes
refuses "masks for none" 2 "error\[C002\].*holds no masks" "$sinter" init fcn --data wild
must "init looks at a list" sh -c "mkdir list && cp wild/cat/0*.png list && (echo file,label; for i in 0 1 2 3 4 5 6 7 8 9; do echo 0\$i.png,c\$((i % 2)); done) >list/labels.csv && '$sinter' init mlp --data list -o list.yaml && '$sinter' check list.yaml"
check "and names its format" grep -qx '  format: csv' list.yaml
must "init looks at images that are not square" sh -c "python3 -B tool.py png wide/a/1.png 1 12 8 && python3 -B tool.py png wide/b/1.png 2 12 8 && '$sinter' init cnn --data wide -o wide.yaml && '$sinter' check wide.yaml"
must "learns them" ./scenes.exe train --output-dir scenes_run
check "and is evaluated" ./scenes.exe eval --output-dir scenes_run --split test
check "its split names images" grep -q '^train,train/images/.*,,$' scenes_run/split.csv
refuses "a format that it was not built with" 2 "error\[C008\].*data.format: csv" ./scenes.exe train --format csv --output-dir x
check "classes in another order" ./scenes.exe train --output-dir scenes_map --force \
    --class-map '0=a,1=b,2=c,3=d,4=e,5=f,6=g,7=h'
finish
