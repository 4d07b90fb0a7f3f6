#!/usr/bin/env bash
# Every model of models/, shrunk, on the virtual device: a training step and inference give what the CPU gives. NVRTC
# takes most of the time, a tenth of a second a kernel; its results are kept from run to run in the build's folder. The
# rows that are marked have hundreds of kernels and run with MODELS=all.
. "$(dirname "$0")/lib.sh"
export XDG_CACHE_HOME=$PWD/${BUILD:-build}/cache
export SINTER_CUDA_VIRTUAL=$PWD/${BUILD:-build}/libsinter_cuda_virtual.so
tensors=$PWD/${BUILD:-build}/tests/tensors

# model | input | target and its classes; -: the input | settings | deep
table='
softmax_regression  | 4,1,28,28 | 4 10        |                                         |
logistic_regression | 4,1,28,28 | 4           |                                         |
mlp                 | 4,1,28,28 | 4 10        |                                         |
cnn                 | 4,1,28,28 | 4 10        | width=8                                 |
bn_cnn              | 4,1,28,28 | 4 10        | width=8                                 |
cnn3                | 2,3,32,32 | 2 10        | size=32 width=8                         |
autoencoder         | 4,1,28,28 | -           |                                         |
conv_autoencoder    | 2,1,28,28 | -           | width=8                                 |
squeezenet1_1       | 4,3,32,32 | 4 10        | size=32 num_classes=10                  |
resnet18            | 4,3,64,64 | 4 10        | size=64 num_classes=10                  | deep
mobilenetv2         | 4,3,32,32 | 4 10        | size=32 num_classes=10                  | deep
unet                | 2,3,16,16 | 2,1,16,16 5 | height=16 width=16 base=8 num_classes=5 |
resnet34            | 4,3,64,64 | 4 10        | size=64 num_classes=10                  | deep
resnet50            | 4,3,64,64 | 4 10        | size=64 num_classes=10                  | deep
fcn_resnet50        | 2,3,32,32 | 2,1,32,32 5 | height=32 width=32 num_classes=5        | deep
deeplabv3_resnet50  | 2,3,32,32 | 2,1,32,32 5 | height=32 width=32 num_classes=5        | deep
'

build() { # model batch settings...
    local model=$1 batch=$2 set=()
    shift 2
    for setting in "$@"; do set+=("--set=$setting"); done
    "$sinter" build "models/$model.yaml" --target=cuda:sm_80 --algorithm exact --no-variants --batch "$batch" "${set[@]}" -o "$work/$model"
}

run() { # model device: files $device.*; both devices begin with the same weights, which come from the seed
    local p=$work/$1 device=$2
    "$p" step --device "$device" --input "$work/in" "${to[@]}" --save-grads "$work/$device.grads" \
        --save-weights "$work/$device.weights" --log "$work/$device.jsonl" &&
        "$p" run --device "$device" --input "$work/in" --weights "$work/cpu.weights" --output "$work/$device.output"
}

sweep() { # model input target settings
    local model=$1 file shape classes
    read -r shape classes <<<"$3"
    to=()
    # shellcheck disable=SC2086
    check "$model builds" build "$model" "${2%%,*}" $4
    check "$model: input" "$tensors" "$work/in" input "$2" 1
    if [ "$shape" != - ]; then
        check "$model: target" "$tensors" "$work/to" target "$shape" 2 ${classes:+"$classes"}
        to=(--target "$work/to")
    fi
    check "$model on the CPU" run "$model" cpu
    check "$model on the virtual device" run "$model" cuda:virtual
    for file in output grads weights; do
        check "$model: $file" "$compare" --mean 1e-5 "$work/cpu.$file" "$work/cuda:virtual.$file"
    done
    check "$model: loss" "$compare" 1e-5 "$work/cpu.jsonl" "$work/cuda:virtual.jsonl"
    rm -f "$work"/cpu.* "$work"/cuda:virtual.* "${work:?}/$model"
}

why=$("$sinter" doctor | sed -n 's/^nvrtc *\(.*is.*\)/\1/p')
while IFS='|' read -r model input target settings deep; do
    read -r model <<<"$model"
    [ -n "$model" ] || continue
    if [ -n "$why" ]; then
        skip "$model" "$why"
    elif [ -n "${deep// /}" ] && [ "${MODELS:-}" != all ]; then
        skip "$model" "its kernels take NVRTC a minute: MODELS=all"
    else
        sweep "$model" "${input// /}" "$target" "$settings"
    fi
done <<<"$table"
listed() { diff <(sed -n 's/^\([a-z0-9_]*\) *|.*/\1/p' <<<"$table" | sort) <(ls models/*.yaml | xargs -n 1 basename -s .yaml | sort); }
check "every model is in the table" listed
finish
