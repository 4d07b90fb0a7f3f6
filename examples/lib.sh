# shellcheck shell=bash
# For the examples' run.sh, which source it: the place of sinter, a folder to work in, `run`, and `figure`, which holds
# a result against what it should at least be and remembers it for the table at the end.
#   OUT=DIR     where to write [a temporary folder, removed at the end]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck disable=SC2034  # the scripts use it
fashion=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
PATH=$top/${BUILD:-build}:$PATH # else the sinter that is installed
export NO_COLOR=1
if [ -n "${OUT:-}" ]; then
    mkdir -p "$OUT"
else
    OUT=$(mktemp -d)
    trap 'rm -rf "$OUT"' EXIT
fi
cd "$OUT"
figures='' since=$SECONDS

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

brief() { # LINES COMMAND...: as run, with the first LINES of its output (-N: the last N)
    local lines=$1
    shift
    printf '\n$ %s\n' "$*"
    "$@" >output.txt
    case $lines in -*) tail -n "${lines#-}" output.txt ;; *) head -n "$lines" output.txt ;; esac
}

number() { # FILE KEY: the first number of a key in a JSON file
    tr -d ' \n' <"$1" | grep -oE "\"$2\":-?[0-9.eE+-]+" | head -n 1 | cut -d: -f2
}

figure() { # ID WHAT VALUE LEAST: VALUE must be LEAST or more
    printf '%s: %s %s (at least %s)\n' "$1" "$2" "$3" "$4"
    awk -v a="$3" -v b="$4" 'BEGIN { exit !(a >= b) }'
    figures+=$(printf '%-4s %-48s %8.4g   %4d s' "$1" "$2" "$3" "$((SECONDS - since))")$'\n'
    since=$SECONDS
}

verdict() { # RUN: whether it overfits, as its report.html says
    test -s "$1/report.html"
    printf '%s: %s\n' "$1" "$(sed -n 's/.*<div class="v"><p><b>\([^<]*\)<\/b>.*/\1/p' "$1/report.html")"
}

finish() { printf '\n%s' "$figures"; }
