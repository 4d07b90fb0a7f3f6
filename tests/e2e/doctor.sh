#!/usr/bin/env bash
# `sinter doctor`, and the virtual device as the driver that programs find: under the driver's name, ahead of others.
. "$(dirname "$0")/lib.sh"

driver() { # FAULT: what doctor says of the driver
    SINTER_VIRTUAL_FAULT=$1 LD_LIBRARY_PATH=$work "$sinter" doctor | sed -n 's/^cuda *//p'
}

check "a line for each thing" sh -c "'$sinter' doctor | cut -d' ' -f1 | tr '\n' ' ' | grep -qx 'cpu llvm nvrtc cuda cudnn virtual runtime linker '"
refuses "without the runtime library" 5 "" env SINTER_RT=/nowhere "$sinter" doctor
check "says what to do" grep -q '^runtime .*run make' "$work/out"
check "a library that is missing" sh -c "SINTER_CUDNN=/nowhere '$sinter' doctor | grep -q '^cudnn .*SINTER_CUDNN names no library'"
check "one that is there" sh -c "SINTER_CUDNN='$PWD/${BUILD:-build}/tests/libcudnn_fake.so' '$sinter' doctor | grep -q '^cudnn  *9\.[0-9]*\.[0-9]*, with'"
check "the virtual device is optional" sh -c "SINTER_CUDA_VIRTUAL=/nowhere '$sinter' doctor | grep -q '^virtual .*run make'"
check "it stands beside the compiler" sh -c "'$sinter' doctor | grep -q '^virtual .*1 device: sinter virtual sm_80.*libsinter_cuda_virtual.so'"
ln -s "$PWD/${BUILD:-build}/libsinter_cuda_virtual.so" "$work/libcuda.so.1"
check "it is found as libcuda.so.1" test "$(driver '')" = "CUDA 13.0, 1 device: sinter virtual sm_80"
check "an old driver" test "$(driver driver=11040)" = "CUDA 11.4, 1 device: sinter virtual sm_80"
check "a driver without a device" test "$(driver devices=0)" = "there, and gives no device: cuInit says 100"
finish
