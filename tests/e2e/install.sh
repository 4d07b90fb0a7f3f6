#!/usr/bin/env bash
# `make install`: the installed compiler finds its runtime library and builds a program.
. "$(dirname "$0")/lib.sh"

san=
[ "${BUILD:-build}" = build ] || san=1
must "installs" make --no-print-directory install DESTDIR="$work/root" PREFIX=/usr ${san:+SAN=1}
cd "$work" || exit 1
must "the installed compiler builds" root/usr/bin/sinter build root/usr/share/sinter/models/cnn.yaml -o cnn
check "the program runs" ./cnn info
check "the virtual device is beside the library" sh -c "root/usr/bin/sinter doctor | grep -q '^virtual .*sm_80.*lib/sinter/'"
check "it moves with its folder" mv root elsewhere
check "and still builds" elsewhere/usr/bin/sinter build elsewhere/usr/share/sinter/models/cnn.yaml -o cnn
refuses "without the library it says so" 5 'libsinter_rt' sh -c \
    'rm elsewhere/usr/lib/sinter/libsinter_rt.a; exec elsewhere/usr/bin/sinter build "$1" -o other' sh "$fixtures/bn_small.yaml"
check "and writes nothing" test ! -e other
finish
