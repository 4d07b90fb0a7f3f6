#!/usr/bin/env bash
# For whoever has a GPU (make gpu-check): every operator's samples, every model and whole programs on the CUDA device,
# against the reference in double, PyTorch's stored numbers and the CPU; then compute-sanitizer, then times.
#   tests/gpu_check.sh --device    all of it; without NVRTC or a GPU one line that says what is missing, and exit 5
#   tests/gpu_check.sh             a part of it on the virtual device, which needs no GPU: how this script is tested
# Prints PASS, FAIL or SKIP lines.
set -u
cd "$(dirname "$0")/.." || exit 1
build=$PWD/${BUILD:-build}
sinter=$build/sinter
fixtures=tests/fixtures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() { # name command...
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "PASS gpu_check: $name"
    else
        sed 's/^/    /' "$work/said" | tail -n 30
        echo "FAIL gpu_check: $name"
        failures=$((failures + 1))
    fi
}

skip() { echo "SKIP gpu_check: $1: $2"; }

# Operators and descriptions say PASS and FAIL themselves.
suite() { # command...
    GPU_CHECK=$driver "$@" >"$work/suite" 2>&1
    local status=$?
    grep -E '^(PASS|FAIL|SKIP) ' "$work/suite" | sed "s/^\([A-Z]*\) /\1 gpu_check: /"
    [ $status = 0 ] || failures=$((failures + 1))
    [ $status = 0 ] || grep -q '^FAIL' "$work/suite" || { # it died
        tail -n 5 "$work/suite" | sed 's/^/    /'
        echo "FAIL gpu_check: $*: exit status $status"
    }
}

doctor() { "$sinter" doctor | sed -n "s/^$1 *//p"; }

missing() { # what a device needs and is not here; nothing: all is there
    case $(doctor nvrtc) in there*) ;; *) echo "NVRTC ($(doctor nvrtc))"; return ;; esac
    case $(doctor cuda) in *'1 device'* | *devices:*) ;; *) echo "a CUDA device ($(doctor cuda))" ;; esac
}

# The large models, small enough for a reference in double.
settings() { # model
    case $1 in
    deeplabv3_resnet50 | fcn_resnet50) echo height=64 width=64 num_classes=5 ;;
    mobilenetv2 | resnet* | squeezenet1_1) echo size=64 num_classes=10 ;;
    unet) echo height=32 width=32 base=8 num_classes=5 ;;
    *) sed -n "s/^$1 //p" tests/ladder.sets ;;
    esac
}

operators() { # of the device, all or those named
    [ $# = 0 ] && suite "$build/tests/ops"
    for op; do OP=$op suite "$build/tests/ops"; done
}

models() { # description...
    local spec name set
    for spec; do
        name=$(basename "$spec" .yaml)
        read -r -a set <<<"$(settings "$name")"
        suite "$build/tests/ladder" "$spec" "${set[@]}"
        check "$name: every kernel" "$sinter" verify "$spec" --target=cuda --device "${driver/virtual/cuda:virtual}" \
            "${set[@]/#/--set=}"
    done
}

# A program's output, gradients and ten steps beside PyTorch's.
program() { # fixture
    local f=$fixtures/$1 p=$work/$1
    check "$1 builds" "$sinter" build "$f.yaml" --target="cuda:$arch" -o "$p"
    local steps=("$p" step --device "$device" --input "$f.input.safetensors" --target "$f.target.safetensors"
        --weights "$f.init.safetensors")
    check "$1 runs" "$p" run --device "$device" --input "$f.input.safetensors" --weights "$f.init.safetensors" \
        --output "$p.output.safetensors"
    check "$1: output" "$build/tests/compare" 1e-5 "$f.output.safetensors" "$p.output.safetensors"
    check "$1 steps" "${steps[@]}" --steps 1 --save-grads "$p.grads.safetensors"
    check "$1: gradients" "$build/tests/compare" 1e-5 "$f.grads.safetensors" "$p.grads.safetensors"
    check "$1: ten steps" "${steps[@]}" --steps 10 --save-weights "$p.weights.safetensors" --log "$p.jsonl"
    check "$1: losses" "$build/tests/compare" 1e-5 "$f.sgd.jsonl" "$p.jsonl"
    check "$1: ten steps again" "${steps[@]}" --steps 10 --save-weights "$p.again.safetensors"
    check "$1: the same bits" cmp "$p.weights.safetensors" "$p.again.safetensors"
}

sanitizer() { # fixture, which program() has built
    local f=$fixtures/$1 tool
    for tool in memcheck racecheck synccheck initcheck; do
        if ! command -v compute-sanitizer >/dev/null; then
            skip "$1 under $tool" "compute-sanitizer is not installed (CUDA toolkit)"
        elif [ "$driver" = virtual ]; then
            skip "$1 under $tool" "it needs a GPU"
        else
            check "$1 under $tool" compute-sanitizer --tool "$tool" --error-exitcode 9 "$work/$1" step --steps 2 \
                --device "$device" --input "$f.input.safetensors" --target "$f.target.safetensors" \
                --weights "$f.init.safetensors"
        fi
    done
}

# Measured, fused beside unfused; and with convolutions by cuDNN.
times() { # description...
    local spec name provider
    for spec; do
        name=$(basename "$spec" .yaml)
        for provider in sinter cudnn; do
            if [ "$provider $driver" = "cudnn virtual" ]; then
                skip "$name is timed, by cudnn" "cuDNN computes on a GPU"
                continue
            fi
            check "$name builds, by $provider" "$sinter" build "$spec" --target="cuda:$arch" --provider "$provider" \
                -o "$work/$name.$provider"
            check "$name is timed, by $provider" "$work/$name.$provider" bench --device "$device" --duration "$seconds"
            grep -E '^(variant|fused|unfused|  fused) ' "$work/said"
        done
    done
}

why=$(missing)
if [ "${1:-}" = --device ]; then
    [ -z "$why" ] || { echo "gpu-check needs $why"; exit 5; }
    driver=cuda device=cuda:0 seconds=3 arch=sm_80,sm_90,sm_120
    operators
    models models/*.yaml $fixtures/*.yaml tests/e2e/*.yaml
    for f in cnn_small bn_small ops_small; do program $f && sanitizer $f; done
    times models/cnn.yaml models/resnet18.yaml models/resnet50.yaml
    [ $failures = 0 ]
    exit
fi

# ---- the test of this script ----
case $why in
NVRTC*) skip "on the virtual device" "$why"; exit ;;
esac
if [ -n "$why" ]; then
    bash "$0" --device >"$work/out" 2>&1
    status=$?
    check "without a GPU it says what is missing" grep -q '^gpu-check needs a CUDA device (' "$work/out"
    check "in one line" test "$(wc -l <"$work/out")" = 1
    check "and exits with 5" test $status = 5
else
    skip "without a GPU" "there is one"
fi
driver=virtual device=cuda:virtual seconds=0.1 arch=sm_80
export SINTER_CUDA_VIRTUAL=$build/libsinter_cuda_virtual.so
operators ReLU Conv2d MaxPool2d GroupNorm Max
models $fixtures/bn_small.yaml
program cnn_small
sanitizer cnn_small
times $fixtures/cnn_small.yaml
# A wrong number must not pass: what is compared with is damaged.
cp -r $fixtures "$work/fixtures"
cp $fixtures/bn_small.output.safetensors "$work/fixtures/cnn_small.output.safetensors"
fixtures=$work/fixtures
before=$failures
program cnn_small >"$work/damaged"
failures=$before
check "a difference fails" grep -q '^FAIL gpu_check: cnn_small: output' "$work/damaged"
[ $failures = 0 ]
