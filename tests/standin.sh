#!/usr/bin/env bash
# The stand-ins for the CUDA driver and NCCL: their own tests, with kernels from nvcc.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
unset MAKEFLAGS MAKELEVEL MFLAGS

nvcc=$(make -s --no-print-directory BUILD="$build" -f - <<<"include Makefile
print-nvcc:; @echo \$(NVCC)" print-nvcc)
if [ -z "$nvcc" ]; then
    echo "nvcc is not there: make cuda-wheels"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
if ! make --no-print-directory -s -j2 BUILD="$build" CC="${CC:-cc}" CXX="${CXX:-c++}" standin-test; then
    echo "0 passed, 1 failed"
    exit 1
fi
headers=$(find /usr/local/cuda/include /usr/local/include /usr/include -maxdepth 1 -name nccl.h \
    -printf '%h\n' 2>/dev/null | head -n 1)
if [ -z "$headers" ] || ! grep -q 'NCCL_VERSION_CODE 22809' "$headers/nccl.h"; then
    echo "no nccl.h of 2.28.9: our declarations are not compared with it"
elif ! ${CC:-cc} -std=c11 -Wall -Wextra -Werror -isystem "$headers" -isystem /usr/local/cuda/include \
    -fsyntax-only tests/standin/check/nccl_check.c; then
    echo "not ok: our declarations are not nccl.h's"
    echo "0 passed, 1 failed"
    exit 1
fi
export STANDIN_KERNELS=$build/obj/cuda/kernels.fatbin
STANDIN_BUILD=$build/standin STANDIN_LOG=$build/standin/log LD_LIBRARY_PATH=$build/standin "$build/standin/test"
