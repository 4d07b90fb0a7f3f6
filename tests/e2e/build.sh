#!/usr/bin/env bash
# What the compiler writes: the same bytes twice, small, hardened, no library but the C library, no name of the
# description among the symbols; and every --no-* build means the same as the default.
. "$(dirname "$0")/lib.sh"
spec=tests/e2e/mnist.yaml

must "builds" "$sinter" build $spec -o "$work/a"
must "builds again" "$sinter" build $spec -o "$work/b"
same "compiling twice gives the same bytes" "$work/a" "$work/b"

"$sinter" build models/cnn.yaml --explain --stop-after=schedule >"$work/explained"
others='(  F\([^)]*\) [0-9]+k)*' # of which one has the star
check "explains its choice" grep -qE "arithmetic +direct [0-9]+k  F\(2x2\) [0-9]+k$others  F\([4-6]x[4-6]\) [0-9]+k\*$others  conv2" "$work/explained"
check "and of gradients" grep -qE "direct [0-9]+k$others  F\(3x3, [4-6]x[4-6]\) [0-9]+k\*$others  conv2'" "$work/explained"
"$sinter" build models/cnn.yaml --explain --algorithm exact --stop-after=schedule >"$work/explained"
check "exact has no choice" sh -c "grep -q 'direct [0-9]*k\*  conv2' '$work/explained' && ! grep -q 'F(' '$work/explained'"

libraries() { ldd "$1" | awk '!/linux-vdso|ld-linux|lib(c|m|pthread)\.so/ { print; bad = 1 } END { exit bad }'; }
small() { test "$(stat -c %s "$1")" -lt 500000; }
hardened() { # position independent, RELRO, immediate binding, no executable stack, no text relocations
    local dynamic
    dynamic=$(readelf -W -h -l -d "$1")
    grep -q 'Type:.*DYN' <<<"$dynamic" && grep -q 'GNU_RELRO' <<<"$dynamic" && grep -q 'BIND_NOW' <<<"$dynamic" &&
        ! grep -q 'GNU_STACK.*RWE' <<<"$dynamic" && ! grep -qE 'TEXTREL|R(UN)?PATH' <<<"$dynamic"
}
for model in mnist cnn; do
    program=$work/a
    [ $model = cnn ] && program=$work/cnn && must "models/cnn.yaml builds" "$sinter" build models/cnn.yaml -o "$program"
    if [ "${BUILD:-build}" = build ]; then
        check "$model: only the C library" libraries "$program"
        check "$model: under 500 KB" small "$program"
    else
        skip "$model: only the C library" "the sanitizers' libraries are beside it"
        skip "$model: under 500 KB" "the sanitizers' code is in it"
    fi
    check "$model: hardened" hardened "$program"
    check "$model: info" "$program" info
done

# Every stage dumps, and the compiler can stop after each.
mkdir "$work/dump"
for stage in spec graph grad simplify fuse schedule plan loop llvm; do
    check "dumps $stage" "$sinter" build $spec -o "$work/none" --stop-after=$stage --dump=$stage --dump-dir="$work/dump"
    case $stage in spec | llvm) file=$stage.txt ;; *) file=train.$stage.txt ;; esac
    check "$stage was written" test -s "$work/dump/$file"
done
check "a stopped build leaves no program" test ! -e "$work/none"

# Builds without a pass agree with the default on outputs, losses and weights.
for model in cnn_small bn_small; do
    f=$fixtures/$model
    for flag in "" --no-fuse --no-reuse --no-simplify "--no-fuse --no-reuse --no-simplify"; do
        p=$work/$model${flag// /}
        # shellcheck disable=SC2086
        must "$model $flag builds" "$sinter" build "$f.yaml" -o "$p" $flag
        check "$model $flag runs" "$p" run --input "$f.input.safetensors" --weights "$f.init.safetensors" \
            --output "$p.output.safetensors"
        check "$model $flag steps" "$p" step --input "$f.input.safetensors" --target "$f.target.safetensors" \
            --weights "$f.init.safetensors" --steps 3 --save-grads "$p.grads.safetensors" \
            --save-weights "$p.weights.safetensors" --log "$p.jsonl"
        [ -n "$flag" ] || continue
        for what in output.safetensors grads.safetensors weights.safetensors jsonl; do
            check "$model $flag: ${what%.safetensors} as by default" "$compare" 1e-5 "$work/$model.$what" "$p.$what"
        done
    done
done

# A deep model's gradients, where no ReLU is near 0 (steady.c): elsewhere the order of a sum turns one on or off, and all
# that lies before it differs, by 0.08 in ResNet-18's conv1.
deep() { # program arguments
    "$sinter" build models/resnet18.yaml --batch 4 --set size=64 --set num_classes=10 "${@:2}" -o "$work/$1"
}
deep_step() { # program arguments
    "$work/$1" step --input "$work/images" --target "$work/classes" --save-grads "$work/$1.grads" "${@:2}"
}
check "images" "${compare%/*}/tensors" "$work/images" input 4,3,64,64 1
check "classes" "${compare%/*}/tensors" "$work/classes" target 4 2 10
must "resnet18 builds" deep fused
check "resnet18 steps" deep_step fused --save-weights "$work/fused.weights"
check "BatchNorms whose results are far from 0" "${compare%/*}/steady" "$work/fused.weights" "$work/away"
check "resnet18 steps from there" deep_step fused --init "$work/away" --strict no
for flag in --no-fuse --algorithm=exact; do
    must "resnet18 $flag builds" deep "other$flag" "$flag"
    check "resnet18 $flag steps" deep_step "other$flag" --init "$work/away" --strict no
    check "resnet18 $flag: gradients as by default" "$compare" --mean 1e-5 "$work/fused.grads" "$work/other$flag.grads"
done

# Names are data: they may not reach a symbol. A shell never sees them either.
sed -e 's/conv1:/HostileName_0:/' -e 's/name: mnist/name: HostileModel/' $spec >"$work/hostile.yaml"
must "odd names build" "$sinter" build "$work/hostile.yaml" -o "$work/hostile"
check "the program knows the name" grep -qc HostileName_0 "$work/hostile"
check "dumps the code" "$sinter" build "$work/hostile.yaml" -o "$work/none" \
    --dump=llvm,asm --dump-dir="$work/dump"
no_symbol() { ! { nm -aC "$1"; nm -D "$1"; cat "$work/dump"/{llvm,asm}.txt; } | grep -iE 'hostile(name|model)'; }
check "no symbol and no line of code has the name" no_symbol "$work/hostile"
for name in '"; system(\"x\"); //' '*/ evil' '$(touch pwned)' 'a;b' '%s%n' '../up'; do
    printf 'spec: 1\nname: m\ninput: {image: [1, 8, 8]}\nmodel:\n  %s: Conv2d(_, 2, 3)\n' \
        "'${name//\'/}'" >"$work/name.yaml"
    refuses "layer name $name" 3 'error\[S020\]' "$sinter" build "$work/name.yaml" -o "$work/name"
    check "layer name $name: nothing written" test ! -e "$work/name"
done
mkdir "$work/odd" && cp $spec "$work/odd/-x; touch pwned \$(touch pwned).yaml"
check "an odd file name builds" "$sinter" build "$work/odd/-x; touch pwned \$(touch pwned).yaml" -o "$work/odd/out; touch pwned"
no_pwned() { [ -z "$(find . "$work" -maxdepth 2 -name '*pwned' ! -name '*touch*' -print)" ]; }
check "no shell ran" no_pwned
finish
