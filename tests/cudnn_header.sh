#!/usr/bin/env bash
# Compares cuda/cudnn.def with cuDNN's own header, where there is one: numbers by static assertions, prototypes by
# assigning NVIDIA's functions to pointers of ours. Ends with a test of itself: a wrong line must be found.
set -u
cd "$(dirname "$0")/.." || exit 1

for place in "${CUDA_HOME:-/usr/local/cuda}/include" /usr/include /usr/include/x86_64-linux-gnu; do
    [ -e "$place/cudnn_graph.h" ] && [ -e "$place/cuda_runtime_api.h" ] && break
    place=
done
if [ -z "$place" ]; then
    echo "SKIP cudnn header: cudnn_graph.h and cuda_runtime_api.h are not installed"
    exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/check.c" <<'C'
#include <cudnn_graph.h>
#define VALUE(name, value) _Static_assert((int)CUDNN_##name == value, "CUDNN_" #name);
#include "cudnn.def"
#define FUNCTION(result, name, parameters) result(*of_##name) parameters = name;
#include "cudnn.def"
C
compile() { # folder of cudnn.def
    ${CC:-gcc} -std=c11 -fsyntax-only -Werror=incompatible-pointer-types -isystem "$place" -I"$1" "$dir/check.c" 2>&1
}

if errors=$(compile cuda); then
    echo "PASS cudnn header: $(grep -c '^VALUE' cuda/cudnn.def) numbers, $(grep -c '^FUNCTION' cuda/cudnn.def) functions"
else
    printf '%s\nFAIL cudnn header\n' "$errors"
fi
planted() { # name sed-script
    sed "$2" cuda/cudnn.def >"$dir/cudnn.def"
    if cmp -s cuda/cudnn.def "$dir/cudnn.def" || compile "$dir" >/dev/null; then
        echo "FAIL cudnn header: finds $1"
    else
        echo "PASS cudnn header: finds $1"
    fi
}
planted "a wrong number" 's/^VALUE(TYPE_CHAR, 24)/VALUE(TYPE_CHAR, 25)/'
planted "a wrong prototype" 's/(void \*descriptor))/(int64_t descriptor))/'
