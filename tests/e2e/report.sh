#!/usr/bin/env bash
# Reports of runs: written by the program where the description asks for one, by `sinter report` the same bytes again;
# comparisons; plots; and what a browser makes of the pages, if chromium is here.
. "$(dirname "$0")/lib.sh"
spec=tests/e2e/mnist.yaml
sed '$a report: {misclassified: {per_class: 2}, tsne: {layer: conv2, items: 60, perplexity: 10}}' $spec >"$work/mnist.yaml"

must "a description with report: builds" "$sinter" build "$work/mnist.yaml" -o "$work/asks"
must "the same without" "$sinter" build $spec -o "$work/plain"
hash_of() { "$1" info | grep -oE 'hash [0-9a-f]+'; }
check "neither report: nor the file's place is part of the model" test "$(hash_of "$work/asks")" = "$(hash_of "$work/plain")"
for bad in 'tsne: {layer: conv9}' 'tsne: {dims: [1]}' 'tsne: {items: 1}' 'tsnes: {}' 'misclassified: 3'; do
    sed "\$ a report: {$bad}" $spec >"$work/bad.yaml"
    refuses "report: {$bad}" 3 'bad.yaml:[0-9]+:[0-9]+: error\[S0' "$sinter" check "$work/bad.yaml"
done
[ -f "$fashion/train-images-idx3-ubyte.gz" ] || { skip "reports" "no Fashion-MNIST"; finish; }
train() { "$1" train --data "$fashion" --epochs "$3" --limit 600 --lr "$4" --seed 1 --device cpu --output-dir "$2" "${@:5}"; }
must "trains, and writes a report" train "$work/asks" "$work/a" 3 0.002
cp "$work/said" "$work/printed"
check "says so" grep -q 'report.html' "$work/printed"
for f in report.html report.json plots/loss.svg plots/accuracy.svg plots/classes.svg plots/brightness.svg \
    plots/confusion.svg plots/tsne-train.svg plots/tsne-val.svg plots/weights-first.png plots/weights-best.png; do
    check "$f is there" test -s "$work/a/$f"
done
cp "$work/a/report.html" "$work/by-program.html"
check "sinter report" "$sinter" report "$work/a" --png
same "the same bytes by sinter and by the program" "$work/a/report.html" "$work/by-program.html"
for f in loss accuracy classes brightness confusion; do
    check "plots/$f.png is a PNG" test "$(head -c 4 "$work/a/plots/$f.png" | tail -c 3)" = PNG
done
for id in curves data confusion classes pairs mistakes tsne space weights kernels environment settings description; do
    check "section $id" grep -q "<section id=\"$id\">" "$work/a/report.html"
done
check "the table is eval's" "$work/asks" eval --data "$fashion" --limit 600 --split test --output-dir "$work/a" --json "$work/eval.json"
agrees() { # the accuracy that the page shows is the one that eval prints
    local shown
    shown=$(grep -oE '<dt>test accuracy</dt><dd>[0-9.]+' "$work/a/report.html" | grep -oE '[0-9.]+$')
    awk -v a="$shown" -v b="$(number "$work/eval.json" accuracy)" 'BEGIN { exit !(a - 100 * b < 0.006 && 100 * b - a < 0.006) }'
}
check "the accuracy is eval's" agrees

must "a program without the part trains" train "$work/plain" "$work/b" 3 0.0005
check "and leaves no report" test ! -e "$work/b/report.html"
check "--report no leaves none" train "$work/asks" "$work/c" 1 0.001 --report no
check "indeed" test ! -e "$work/c/report.html"
must "trains again without a report" train "$work/asks" "$work/d" 3 0.002 --report no
same "a report changes no weight" "$work/a/weights/last.safetensors" "$work/d/weights/last.safetensors"
check "sinter report shows what there is" "$sinter" report "$work/b"
check "curves of a run without report.json" grep -q '<section id="curves">' "$work/b/report.html"
check "no answers there" bash -c "! grep -q '<section id=\"confusion\">' '$work/b/report.html'"
check "sinter compare" "$sinter" compare "$work/a" "$work/b" -o "$work/compare.html"
check "what differs" grep -q '<td class="n">train.lr</td><td class="n">0.002</td><td class="n">0.0005</td>' "$work/compare.html"
refuses "a folder that is no run" 4 'error\[D001\]' "$sinter" report "$work"
refuses "a run that is not there" 4 'error\[D001\]' "$sinter" report "$work/none"
refuses "an unknown option" 2 'error\[C001\]' "$sinter" report --pngs "$work/a"
refuses "no run" 2 'error\[C001\]' "$sinter" compare -o "$work/x.html"

# ---- masks and reconstructions ----

check "scenes are drawn" "$sinter" data make scenes "$work/scenes" --count 16 --size 48
cat >"$work/masks.yaml" <<YAML
spec: 1
input: {image: [3, 48, 48]}
model:
  conv: Conv2d(_, 8, 3, padding=1)
  relu: ReLU()
  head: Conv2d(_, 8, 1)
data: {format: mask_folder, root: $work/scenes, num_classes: 8}
train: {loss: CrossEntropyLoss(), optimizer: Adam(lr=0.01), epochs: 2, batch_size: 4, target: mask}
report: {}
YAML
must "a model of masks builds" "$sinter" build "$work/masks.yaml" -o "$work/masks"
check "trains, and writes a report" "$work/masks" train --device cpu --output-dir "$work/m"
must "an autoencoder builds" "$sinter" build models/autoencoder.yaml -o "$work/auto"
check "trains, and writes a report of its pictures" "$work/auto" train --data "$fashion" --epochs 1 --limit 200 --device cpu \
    --output-dir "$work/e"
check "masks over images, with a legend" grep -q '<section id="masks">' "$work/m/report.html"
check "pixels of each class" grep -q 'Pixels of each class' "$work/m/plots/classes.svg"
check "IoU" grep -q '<dt>test mean IoU</dt>' "$work/m/report.html"
check "originals beside what was rebuilt" grep -q '<section id="rebuilt">' "$work/e/report.html"
check "PSNR" grep -qE '<dt>test PSNR</dt><dd>[0-9.]+ dB' "$work/e/report.html"

# ---- a browser ----

mkdir "$work/hostile"
bad='</script><script>document.title=1</script><img src=x onerror=document.title=2>\"'\'' onload='\''document.title=3'
names=
for name in '<b>' '&lt;script&gt;' "'><svg onload=document.title=4>" '\"><img src=x onerror=document.title=5>' '--><script>document.title=6</script>' \
    ']]><script>document.title=7</script>' '</style><script>document.title=8</script>' '</title><script>document.title=9</script>' 'javascript:document.title=1' \
    '<iframe srcdoc=\"<script>parent.document.title=2</script>\">' '<object data=x>' '<base href=//x/>' '<link rel=stylesheet href=//x>' '<meta http-equiv=refresh content=0>' \
    '`onerror=document.title=3' '\u202egnp.exe' '\u0001\u0007' '${title}' '<math><mtext></form><form><mglyph><style></math><img src onerror=document.title=1>' '<form><button formaction=//x>'; do
    names+=", \"$name\""
done
cat >"$work/hostile/report.json" <<JSON
{"version": 1, "spec_file": "$bad", "description": "</pre>$bad", "classes": ["$bad", "b"$names],
 "scores": {"test": {"items": 10, "loss": 0.5, "confusion": [[3, 2], [1, 4]],
  "misclassified": [{"item": "$bad", "truth": 0, "top": [[1, 0.9], [0, 0.1]], "image": "$bad"}]}},
 "tsne": [{"split": "val", "layer": "$bad", "label": [0, 1, 1], "x": [[0, 1, 2], [0, 1, 0], [1, 1, 5]]},
  {"split": "val", "layer": "$bad", "label": [0, 1, 1], "x": [[0, 1, 2], [0, 1, 0]]}]}
JSON
printf '{"model": "%s"}' "$bad" >"$work/hostile/env.json"
check "a hostile run" "$sinter" report "$work/hostile"

browser=$(command -v chromium || true)
[ -n "$browser" ] || { skip "pages in a browser" "chromium is missing: apt-get install chromium"; finish; }
browse() { # FILE WIDTH ARGUMENTS...: the page's DOM on stdout, what the console says in $work/console
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --window-size="$2,900" \
        --virtual-time-budget=2000 --enable-logging=stderr "${@:3}" --dump-dom "file://$1" 2>"$work/log"
    local status=$?
    grep 'CONSOLE' "$work/log" >"$work/console"
    return $status
}
browse "$work/compare.html" 800 >"$work/dom" && grep -q '</main>' "$work/dom" ||
    { skip "pages in a browser" "chromium does not start here"; finish; }
quiet() { cat "$work/console"; [ ! -s "$work/console" ]; }
# The page without its policy, and with a script that says in the title what it found: our page's own script cannot.
probe() { # FILE
    local found='["wide",document.documentElement.scrollWidth-document.documentElement.clientWidth,document.scripts.length-1,'
    found+='document.querySelectorAll("[onerror],[onload]").length].join()'
    sed -e '/<meta http-equiv/d' -e "s|</main>|</main><script>addEventListener('load',()=>{document.title=$found})</script>|" "$1"
}
for page in a/report.html b/report.html m/report.html e/report.html compare.html hostile/report.html; do
    check "$page loads" browse "$work/$page" 1200
    browse "$work/$page" 1200 >"$work/dom"
    check "$page: the console is quiet" quiet
    check "$page: no title but its own" bash -c "! grep -qE '<title>[0-9]</title>' '$work/dom'"
    for width in 390 1200; do
        probe "$work/$page" >"$work/probe.html"
        browse "$work/probe.html" $width >"$work/dom"
        scripts=$(grep -c '<script' "$work/$page")
        check "$page at $width: fits, no script but ours, no handler" grep -q "<title>wide,0,$scripts,0</title>" "$work/dom"
    done
done
check "a report takes its picture" browse "$work/a/report.html" 1200 --screenshot="$work/picture.png"
finish
