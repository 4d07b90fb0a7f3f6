# shellcheck shell=bash
# For the scripts of tests/e2e, which source it: names of the programs, a folder for the files of the test, and the
# words `check`, `same`, `refuses`, `skip`, which print PASS, FAIL or SKIP lines. The script ends with `finish`.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck disable=SC2034  # the scripts use what is not used here
suite=$(basename "$0" .sh)
sinter=$PWD/${BUILD:-build}/sinter
compare=$PWD/${BUILD:-build}/tests/compare
fixtures=$PWD/tests/fixtures
fashion=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NO_COLOR=1
failures=0

# Root may do everything; tests of permissions run their commands through this.
mortal=()
[ "$(id -u)" != 0 ] || mortal=(setpriv --bounding-set="-dac_override,-dac_read_search")
is_mortal() { : >"$work/closed" && chmod 0 "$work/closed" && "${mortal[@]}" true && ! "${mortal[@]}" cat "$work/closed"; }

pass() { echo "PASS $suite: $1"; }

fail() { # name: what it printed is in $work/said
    sed 's/^/    /' "$work/said" 2>/dev/null | tail -n 30
    echo "FAIL $suite: $1"
    failures=$((failures + 1))
}

skip() { echo "SKIP $suite: $1: $2"; } # name reason

# check NAME COMMAND...   the command must succeed.
check() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then pass "$name"; else fail "$name"; fi
}

# must NAME COMMAND...   as check, but nothing after it could work.
must() {
    local before=$failures
    check "$@"
    [ "$failures" = "$before" ] || finish
}

# same NAME A B   two files with the same bytes.
same() { check "$1" cmp "$2" "$3"; }

# refuses NAME EXIT PATTERN COMMAND...   the exit code, and an extended regular expression that stderr must match (empty: anything).
# A message holds no control characters, whatever the input held.
refuses() {
    local name=$1 code=$2 pattern=$3 got
    shift 3
    "$@" >"$work/out" 2>"$work/said" </dev/null
    got=$?
    if [ "$got" != "$code" ]; then
        echo "exit status $got, expected $code" >>"$work/said"
        fail "$name"
    elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" "$work/said"; then
        echo "stderr does not match: $pattern" >>"$work/said"
        fail "$name"
    elif LC_ALL=C grep -q '[[:cntrl:]]' "$work/said"; then
        echo "control characters in the message" >>"$work/said"
        fail "$name"
    else
        pass "$name"
    fi
}

number() { # FILE KEY: the number of a key in a JSON file
    tr -d ' \n' <"$1" | grep -oE "\"$2\":-?[0-9.eE+-]+" | head -n 1 | cut -d: -f2
}

finish() { exit $((failures != 0)); }
