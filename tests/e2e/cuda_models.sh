#!/usr/bin/env bash
# Every model of models/, shrunk, on the virtual device: each kernel of a training step and of inference, from the inputs
# that lie in memory, gives what the reference in double gives, within 1e-5; and the whole program what the CPU's gives. NVRTC
# takes most of the time, a tenth of a second a kernel; its results are kept from run to run in the build's folder. The
# rows that are marked have hundreds of kernels and run with MODELS=all, or MODELS=NAME for one of them. Then some of them on
# tensor cores: tf32 and fp16 give what the CPU gives in fp32, within 2e-3.
. "$(dirname "$0")/lib.sh"
build=$PWD/${BUILD:-build}
export XDG_CACHE_HOME=$build/cache
export SINTER_CUDA_VIRTUAL=$build/libsinter_cuda_virtual.so
tensors=$build/tests/tensors

# model | input | target and its classes; -: none, it is the input | settings | deep
table='
softmax_regression  | 4,1,28,28 | 4 10        |                                         |
logistic_regression | 4,1,28,28 | 4           |                                         |
mlp                 | 4,1,28,28 | 4 10        |                                         |
cnn                 | 4,1,28,28 | 4 10        | width=8                                 |
bn_cnn              | 4,1,28,28 | 4 10        | width=8                                 |
cnn3                | 2,3,32,32 | 2 10        | size=32 width=8                         |
resnet9             | 4,1,28,28 | 4 10        | width=16                                | deep
autoencoder         | 4,1,28,28 | -           |                                         |
conv_autoencoder    | 2,1,28,28 | -           | width=8                                 |
squeezenet1_1       | 4,3,32,32 | 4 10        | size=32 num_classes=10                  |
resnet18            | 4,3,33,33 | 4 10        | size=33 num_classes=10                  | deep
mobilenetv2         | 4,3,32,32 | 4 10        | size=32 num_classes=10                  | deep
unet                | 2,3,16,16 | 2,1,16,16 5 | height=16 width=16 base=8 num_classes=5 |
resnet34            | 4,3,33,33 | 4 10        | size=33 num_classes=10                  | deep
resnet50            | 4,3,33,33 | 4 10        | size=33 num_classes=10                  | deep
fcn_resnet50        | 2,3,32,32 | 2,1,32,32 5 | height=32 width=32 num_classes=5        | deep
deeplabv3_resnet50  | 2,3,32,32 | 2,1,32,32 5 | height=32 width=32 num_classes=5        | deep
'

# the same, and the precision
narrow='
mlp                 | 64,1,28,28 | 64 10 |                        | tf32 |
cnn                 | 4,1,28,28  | 4 10  |                        | tf32 |
bn_cnn              | 4,1,28,28  | 4 10  |                        | fp16 |
conv_autoencoder    | 4,1,28,28  | -     |                        | fp16 |
resnet18            | 4,3,33,33  | 4 10  | size=33 num_classes=10 | fp16 | deep
resnet18            | 4,3,33,33  | 4 10  | size=33 num_classes=10 | tf32 | deep
resnet50            | 2,3,33,33  | 2 10  | size=33 num_classes=10 | fp16 | deep
resnet50            | 2,3,33,33  | 2 10  | size=33 num_classes=10 | tf32 | deep
'

build() { # target program model batch settings...
    local target=$1 program=$2 model=$3 batch=$4
    shift 4
    compile "$model" --target="$target" --batch "$batch" "${@/#/--set=}" -o "$work/$program"
}

compile() { # model options...
    local model=$1
    shift
    "$sinter" build "models/$model.yaml" --algorithm exact --no-variants "$@"
}

run() { # program device files options-of-step...: $files.*; programs begin with the same weights, which come from the seed
    local p=$work/$1 device=$2 files=$work/$3
    "$p" step --device "$device" --input "$work/in" "${to[@]}" --save-grads "$files.grads" --save-weights "$files.weights" \
        --log "$files.jsonl" "${@:4}" &&
        "$p" run --device "$device" --input "$work/in" --weights "$work/cpu.weights" --output "$files.output"
}

tensors_of() { # model input target: files in and to
    local shape classes
    read -r shape classes <<<"$3"
    to=()
    check "$1: input" "$tensors" "$work/in" input "$2" 1
    [ "$shape" != - ] || return 0
    check "$1: target" "$tensors" "$work/to" target "$shape" 2 ${classes:+"$classes"}
    to=(--target "$work/to")
}

kernels() { # model batch settings...
    local model=$1 batch=$2
    shift 2
    "$sinter" verify "models/$model.yaml" --target=cuda --batch "$batch" "${@/#/--set=}"
}

# Where a sum that is nearly 0 meets a ReLU, its order decides, and the gradients of all layers before it bend: two CPUs'
# programs show by how much. No kernel may differ so: kernels().
other_cpu() { # model batch settings...
    [ ! -e "$work/other.output" ] || return 0
    build x86-64-v2 other "$@" && run other cpu other
}

bound() { # file: twice what the programs of two CPUs differ, and at least 1e-5
    "$compare" --mean 1e9 "$work/cpu.$1" "$work/other.$1" | awk '/^worst/ { print (2 * $2 > 1e-5 ? 2 * $2 : 1e-5) }'
}

alike() { # file model batch settings...
    local file=$1 limit
    shift
    "$compare" --mean 1e-5 "$work/cpu.$file" "$work/gpu.$file" >"$work/near" && cat "$work/near" && return
    other_cpu "$@" >"$work/near" 2>&1 || { cat "$work/near" && return 1; }
    limit=$(bound "$file")
    "$compare" --mean "$limit" "$work/cpu.$file" "$work/gpu.$file" && echo "CPUs differ too: $limit is allowed"
}

# One step with all that ReLUs get far from 0: what is left is rounding of sums, and every gradient agrees within 1e-5, or
# as two CPUs' programs do: MobileNetV2's last layers take statistics of few numbers, which lie close together.
steady_step() { # program device files
    "$work/$1" step --device "$2" --input "$work/in" "${to[@]}" --init "$work/away" --strict no --save-grads "$work/$3.away"
}

steady() { # model batch settings...
    steady_step gpu cpu cpu && steady_step gpu cuda:virtual gpu || return 1
    "$compare" --mean 1e-5 "$work/cpu.away" "$work/gpu.away" && return
    other_cpu "$@" && steady_step other cpu other && "$compare" --mean "$(bound away)" "$work/cpu.away" "$work/gpu.away"
}

sweep() { # model input target settings
    local row=("$1" "${2%%,*}") file
    # shellcheck disable=SC2206
    row+=($4)
    check "$1: every kernel" kernels "${row[@]}"
    check "$1 builds" build cuda:sm_80 gpu "${row[@]}"
    tensors_of "$1" "$2" "$3"
    check "$1 on the CPU" run gpu cpu cpu
    check "$1 on the virtual device" run gpu cuda:virtual gpu
    for file in output grads weights jsonl; do
        check "$1: $file" alike "$file" "${row[@]}"
        [ -z "${VERBOSE:-}" ] || cat "$work/said"
    done
    "$build/tests/steady" "$work/cpu.weights" "$work/away"
    [ $? = 3 ] || check "$1: gradients where no ReLU is near 0" steady "${row[@]}" # 3: no BatchNorm, and the gradients above say it all
    [ -z "${VERBOSE:-}" ] || cat "$work/said"
    rm -f "$work"/{cpu,gpu,other}{,.*} "$work/away"
}

# The CPU's program in fp32 has the weights, which come from the seed and some steps, and says what is right. After fewer
# steps a deep model's running statistics do not know yet what passes, and numbers grow beyond what fp16 holds.
sweep_narrow() { # model input target settings precision
    local model=$1 p=${5// /} set
    # shellcheck disable=SC2086
    set=(--batch "${2%%,*}" ${4:+$(printf -- '--set=%s ' $4)})
    check "$model builds for the CPU" compile "$model" "${set[@]}" -o "$work/fp32"
    check "$model builds in $p" compile "$model" "${set[@]}" --infer-only --precision "$p" --target=cuda:sm_80 -o "$work/$p"
    tensors_of "$1" "$2" "$3"
    check "$model in fp32" run fp32 cpu cpu --steps 50
    check "$model in $p on the virtual device" "$work/$p" run --device cuda:virtual --input "$work/in" \
        --weights "$work/cpu.weights" --output "$work/$p.output"
    check "$model in $p: output" "$compare" 2e-3 "$work/cpu.output" "$work/$p.output"
    [ -z "${VERBOSE:-}" ] || cat "$work/said"
    rm -f "$work/fp32" "$work/$p" "$work"/*.output "$work"/cpu.*
}

why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
each_row() { # function column-of-deep, rows on stdin: name, then the function's arguments
    local name settings deep column
    while IFS='|' read -r -a column; do
        read -r name <<<"${column[0]:-}"
        [ -n "$name" ] || continue
        deep=${column[$2]:-}
        if [ -n "$why" ]; then
            skip "$name" "$why"
        elif [ -n "${deep// /}" ] && [ "${MODELS:-}" != all ] && [ "${MODELS:-}" != "$name" ]; then
            skip "$name" "its kernels take NVRTC a minute: MODELS=all"
        else
            read -r settings <<<"${column[3]}" # without the spaces around them
            "$1" "$name" "${column[1]// /}" "${column[2]}" "$settings" "${column[4]:-}"
        fi
    done
}
each_row sweep 4 <<<"$table"
each_row sweep_narrow 5 <<<"$narrow"
listed() { diff <(sed -n 's/^\([a-z0-9_]*\) *|.*/\1/p' <<<"$table" | sort) <(ls models/*.yaml | xargs -n 1 basename -s .yaml | sort); }
check "every model is in the table" listed
finish
