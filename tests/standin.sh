#!/usr/bin/env bash
# The stand-in for the CUDA driver: its own tests, with kernels from nvcc.
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
export STANDIN_KERNELS=$build/obj/cuda/kernels.fatbin
STANDIN_BUILD=$build/standin STANDIN_LOG=$build/standin/log LD_LIBRARY_PATH=$build/standin "$build/standin/test"
