#!/usr/bin/env bash
# A Python environment with the peers:  venv.sh FOLDER
# PyTorch's usual Linux package is built for CUDA and depends on gigabytes of it, which a CPU never calls. So packages
# are installed without their dependencies (requirements.txt has what is needed), and the CUDA libraries that the
# loader insists on are made here: they have every name that PyTorch may ask for, and nothing behind it.
set -eu
folder=$1 list=$(dirname "$0")/requirements.txt
stamp=$folder/requirements.txt
cmp -s "$list" "$stamp" && exit

make_stubs() { # in the folder of PyTorch's libraries
    local lib version work
    work=$(mktemp -d)
    objdump -T ./*.so | awk '/\*UND\*/ { print $NF }' | grep -E '^(cu|nccl|nvrtc|nvshmem)' | grep -v '^cuda' | sort -u |
        sed 's/.*/void &(void) { __builtin_trap(); }/' >"$work/stubs.c"
    for lib in $(readelf -d ./*.so | grep -oE '\[lib(cu|nccl|nv)[^]]*' | tr -d '[' | sort -u); do
        case $lib in
            libcudart.*) continue ;; # the real one is here
            libnvshmem*) version=NVSHMEM ;;
            *) version=$lib ;;
        esac
        echo "$version { *; };" >"$work/map"
        cc -w -shared -fPIC -fno-builtin -Wl,-soname,"$lib" -Wl,--version-script="$work/map" -x c "$work/stubs.c" -o "$lib"
    done
    rm -r "$work"
}

rm -rf "$folder"
python3 -m venv "$folder"
# One by one: a peer that cannot be had here is a column that says so, not the end.
grep -v '^#' "$list" | while read -r package; do
    "$folder/bin/pip" install --quiet --no-deps --disable-pip-version-check "$package" || echo "not installed: $package" >&2
done
libraries=$(echo "$folder"/lib/python3*/site-packages/torch/lib)
[ ! -d "$libraries" ] || (cd "$libraries" && make_stubs)
cp "$list" "$stamp"
