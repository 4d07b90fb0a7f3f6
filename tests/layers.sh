#!/usr/bin/env bash
# Holds every #include of compiler/, runtime/ and cuda/ against the table of layers, and refuses cycles among headers.
# Prints PASS or FAIL lines. Ends with a test of itself: planted violations must be found.
#   in: the tree at $1 (default: the repository)
set -u
cd "$(dirname "$0")/.." || exit 1

# who | may include what (the first row that fits counts). <...> rows are libraries that only some may use;
# the C library is free to all.
table='
compiler/main.c         | *
compiler/flags.*        | compiler/flags.h compiler/pipeline.h compiler/backend.h compiler/spec/args.h compiler/stages.h compiler/support/*
compiler/pipeline*       | *
compiler/run.*          | compiler/run.h compiler/pipeline.h compiler/link.h compiler/support/*
compiler/verify*         | *
compiler/sweep*         | compiler/sweep.h compiler/pipeline.h runtime/options.h runtime/err.h runtime/json.h compiler/support/* <jansson.h>
compiler/manifest.*     | compiler/manifest.h compiler/blob.h compiler/images.h runtime/abi.h compiler/loops.h compiler/plan.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/loop/* compiler/gpu/* compiler/nvrtc/stats.h compiler/support/* <jansson.h>
compiler/predict.*      | compiler/predict.h compiler/manifest.h compiler/gpu/* runtime/abi.h compiler/support/* <jansson.h>
compiler/load.*          | compiler/load.h compiler/link.h compiler/backend.h compiler/support/*
compiler/measure.*       | compiler/measure.h compiler/load.h compiler/loops.h compiler/plan.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/loop/* compiler/support/*
compiler/tune.*         | compiler/tune.h compiler/manifest.h compiler/blob.h compiler/images.h compiler/loops.h compiler/plan.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/loop/* compiler/gpu/* compiler/nvrtc/stats.h compiler/support/*
compiler/stages.h       | compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/backend.h      | compiler/loop/* compiler/support/*
compiler/groups.h       | compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/schedule.h     | compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/* cuda/cudnn.h
compiler/plan.h         | compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/loops.h        | compiler/plan.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/loop/* compiler/support/*
compiler/images.*       | compiler/images.h compiler/backend.h compiler/support/*
compiler/blob.*         | compiler/blob.h compiler/images.h runtime/abi.h compiler/loops.h compiler/plan.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/loop/* compiler/support/*
compiler/link.*         | compiler/link.h compiler/backend.h runtime/abi.h compiler/support/*
compiler/parts.*        | compiler/parts.h runtime/parts.def runtime/data/transforms.def compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/backend.c      | compiler/backend.h compiler/support/*
compiler/machine.c      | compiler/backend.h compiler/support/*
compiler/lower*         | compiler/lower*.h compiler/stages.h compiler/backend.h compiler/groups.h compiler/schedule.h compiler/plan.h compiler/loops.h compiler/graph/* compiler/ops/op.h compiler/loop/* compiler/nests/* compiler/support/*
compiler/*/*            | @folder
compiler/autodiff*      | compiler/autodiff*.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/precision*     | compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/simplify*      | compiler/simplify*.h compiler/rules.h compiler/ref.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/recompute*     | compiler/simplify*.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/rules*         | compiler/simplify*.h compiler/rules.h compiler/ref.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/ref*           | compiler/ref.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/fuse*          | compiler/fuse*.h compiler/winograd.h compiler/cost.h compiler/groups.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/explain*       | compiler/cost.h compiler/groups.h compiler/schedule.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/cost*          | compiler/cost.h compiler/groups.h compiler/schedule.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/winograd.*      | compiler/winograd.h compiler/support/*
compiler/schedule*      | compiler/winograd.h compiler/schedule*.h compiler/cost.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/doctor.*       | compiler/doctor.h compiler/link.h compiler/backend.h compiler/nvrtc/cubin.h cuda/cudnn.h compiler/support/*
compiler/init.*         | compiler/init.h compiler/data/set.h compiler/spec/unit.h runtime/data/internal.h compiler/support/*
compiler/summary.*      | compiler/summary.h compiler/plan.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/plan*          | compiler/plan*.h compiler/schedule.h compiler/groups.h compiler/stages.h compiler/backend.h compiler/graph/* compiler/ops/op.h compiler/support/*
cuda/cudnn*             | cuda/cudnn*
runtime/*               | runtime/* <zlib.h> <jansson.h> <stb/*>
cuda/virtual/*          | cuda/virtual/*
cuda/*                  | cuda/cudnn.h cuda/cuda_api.h cuda/internal.h cuda/api.def runtime/*.h
'
# Rows of the folders of compiler/. transforms.def is one table for the language and for the programs, so that neither
# knows a transform that the other does not; attr.h has the words that it is written in and nothing else.
folders='
compiler/support/cache.c | compiler/support/* runtime/sha256.h
compiler/support/*      | compiler/support/*
compiler/graph/*        | compiler/graph/* compiler/support/*
compiler/loop/*         | compiler/loop/* compiler/support/*
compiler/ops/*          | compiler/ops/*.h compiler/ops/ops.def compiler/graph/* compiler/loop/* compiler/support/*
compiler/nests/*        | compiler/nests/*.h compiler/winograd.h compiler/loops.h compiler/plan.h compiler/schedule.h compiler/groups.h compiler/ops/op.h compiler/graph/* compiler/loop/* compiler/support/*
compiler/spec/schema.c  | compiler/spec/*.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/* runtime/data/formats.def
compiler/spec/transforms.c | compiler/spec/*.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/* runtime/data/transforms.def runtime/data/attr.h
compiler/spec/numbers.c | compiler/spec/*.h compiler/graph/* compiler/ops/op.h compiler/support/* runtime/data/attr.h
compiler/spec/yaml.c    | compiler/spec/*.h compiler/support/* <yaml.h>
compiler/spec/*         | compiler/spec/*.h compiler/stages.h compiler/graph/* compiler/ops/op.h compiler/support/*
compiler/llvm/*         | compiler/llvm/*.h compiler/loop/* compiler/backend.h compiler/support/* <llvm-c/*>
compiler/gpu/*          | compiler/gpu/*
compiler/report/*       | compiler/report/*.h runtime/report/*.h runtime/err.h <cairo/*>
compiler/data/set*      | compiler/data/set.h compiler/stages.h compiler/support/* runtime/data/* runtime/err.h
compiler/data/check.c   | compiler/data/*.h compiler/support/* runtime/data/* runtime/image.h runtime/json.h runtime/err.h
compiler/data/ls.c      | compiler/data/*.h compiler/support/* runtime/data/* runtime/json.h runtime/err.h
compiler/data/split.c   | compiler/data/*.h compiler/support/* runtime/data/* runtime/json.h runtime/err.h
compiler/data/*         | compiler/data/*.h compiler/support/* runtime/image_write.h runtime/rng.h runtime/file.h runtime/err.h <cairo/*> <fontconfig/*>
compiler/nvrtc/*        | compiler/nvrtc/* compiler/loop/* compiler/backend.h compiler/support/*
'
guarded='<llvm-c/*> <llvm/*> <yaml.h> <jansson.h> <zlib.h> <stb/*> <stb_*> <cairo*> <fontconfig*> <cuda*> <cudnn*> <nvrtc*>'

matches() { # text pattern...
    local text=$1 pattern
    shift
    for pattern in "$@"; do
        # shellcheck disable=SC2254
        case $text in $pattern) return 0 ;; esac
    done
    return 1
}

# Prints the patterns that a file may include; fails for a file that no row names.
allowed_for() { # file rows
    local who what
    while IFS='|' read -r who what; do
        who=${who//[[:space:]]/}
        [ -n "$who" ] && matches "$1" "$who" || continue
        case $what in *@folder*) allowed_for "$1" "$folders" ;; *) printf '%s\n' "$what" ;; esac
        return
    done <<<"$2"
    return 1
}

# Prints "from line to" for every #include; a quoted name is looked for beside the file, then where -I points.
includes() { # root
    (cd "$1" && grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' compiler runtime cuda 2>/dev/null) |
        sed -E 's/^([^:]+):([0-9]+):[^"<]*(["<][^">]+[">]).*/\1 \2 \3/' |
        while read -r from line name; do
            case $name in
            '"'*)
                name=${name//\"/}
                local to=$name place
                for place in "${from%/*}" "${from%%/*}" runtime .; do
                    if [ -e "$1/$place/$name" ]; then
                        to=$(realpath -m --relative-to="$1" "$1/$place/$name")
                        break
                    fi
                done
                printf '%s %s %s\n' "$from" "$line" "$to"
                ;;
            *) printf '%s %s %s\n' "$from" "$line" "$name" ;;
            esac
        done
}

check() { # root: prints the violations, one a line
    local edges from line to allowed cycle
    edges=$(includes "$1")
    set -f
    while read -r from line to; do
        [ -n "$from" ] || continue
        # shellcheck disable=SC2086
        case $to in '<'*) matches "$to" $guarded || continue ;; esac
        if ! allowed=$(allowed_for "$from" "$table"); then
            echo "$from: no row of the table names this file"
            continue
        fi
        # shellcheck disable=SC2086
        matches "$to" $allowed || echo "$from:$line: may not include $to"
    done <<<"$edges"
    set +f
    cycle=$(awk '$1 ~ /\.h$/ && $3 ~ /\.h$/ { print $1, $3 }' <<<"$edges" | tsort 2>&1 >/dev/null)
    [ -z "$cycle" ] || printf 'headers include each other: %s\n' "$(sed -n 's/^tsort: //p' <<<"$cycle" | tail -n +2 | tr '\n' ' ')"
}

status=0
verdict() { # name violations
    if [ -z "$2" ]; then
        echo "PASS layers: $1"
    else
        printf '%s\nFAIL layers: %s\n' "$2" "$1"
        status=1
    fi
}

verdict "includes follow the table" "$(check "${1:-.}")"

# The test of the test: each line plants one violation in an otherwise empty tree.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
while read -r file include; do
    rm -rf "${root:?}"/*
    mkdir -p "$root"/compiler/{support,graph,loop,ops,nests,spec,llvm,stray} "$root"/runtime "$root"/cuda/virtual
    touch "$root"/compiler/{graph/text.h,loop/loop.h,ops/relu.c,ops/op.h,stages.h,support/buf.h} "$root"/runtime/abi.h
    printf '#include "support/buf.h"\n#include "graph/text.h"\n' >"$root/compiler/graph/graph.h"
    printf '/* x */\n#include %s\n' "$include" >"$root/$file"
    if [ -n "$(check "$root")" ]; then
        verdict "finds $file -> $include" ""
    else
        verdict "finds $file -> $include" "not found"
    fi
done <<'PLANTED'
compiler/support/arena.c "graph/graph.h"
compiler/graph/graph.c "loop/loop.h"
compiler/loop/build.c "../graph/graph.h"
compiler/ops/tanh.c "relu.c"
compiler/ops/tanh.c <llvm-c/Core.h>
compiler/llvm/emit.c "ops/op.h"
compiler/llvm/emit.c "graph/graph.h"
compiler/spec/build.c <yaml.h>
compiler/fuse.c "loop/loop.h"
compiler/link.c "graph/graph.h"
compiler/stray/new.c "support/buf.h"
compiler/support/buf.h "graph/graph.h"
runtime/main.c "../compiler/support/buf.h"
cuda/virtual/driver.c <cuda.h>
runtime/exec.c "../cuda/internal.h"
cuda/device.c "../compiler/stages.h"
cuda/device.c <cuda.h>
cuda/virtual/driver.c "../../runtime/abi.h"
compiler/graph/text.h "graph.h"
cuda/cudnn.c "../runtime/abi.h"
cuda/cudnn.c <cudnn.h>
PLANTED
exit $status
