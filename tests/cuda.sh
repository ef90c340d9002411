#!/usr/bin/env bash
# The CUDA backend without a GPU: it builds, shows one symbol, says why it cannot run here, and,
# with its kernels' sources run on the CPU (tests/cuda/host_gpu.cc) and with its PTX run by the
# stand-in, passes the conformance suite and gives the CPU backend's bits. ROWS: of the comparison;
# SCHEDULES: of failures.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
rows=${ROWS:-3000}
mkdir -p "$build/log"
lib=$build/libsluice_cuda.so
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "not ok: $*"
}
# add LINE: a closing line's numbers.
add() {
    if [[ $1 =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    else
        bad "no closing line: $1"
    fi
}
finish() {
    if [ $skipped -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ $failed = 0 ]
    exit
}
make="make --no-print-directory -s BUILD=$build"

why=$($make cuda 2>&1) || bad "make cuda: $why"
if [ ! -f "$lib" ]; then
    echo "${why:-$lib is not built}"
    skipped=1
    finish
fi
$make -j2 lib tool hostgpu standin "$build/sluice-conform" "$build/cuda_differs" \
    "$build/cuda_faults" "$build/balance_solves" "$build/water_places" "$build/balance_differs" ||
    bad "make"

add "$(bash tests/symbols.sh "$lib" | tee "$build/log/cuda-symbols.log" | tail -n 1)"

said=$("$build/sluice" info "$lib" | tail -n 1)
if ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
    case $said in can\ run* | cannot\ run\ here:*) ok ;; *) bad "info says: $said" ;; esac
else
    case $said in *'no CUDA driver: libcuda.so.1'*) ok ;; *) bad "info says: $said" ;; esac
fi

headers=$(dirname "$(find /usr/local/cuda/include /usr/include "$build/cuda" -name cudaTypedefs.h \
    2>/dev/null | head -n 1)")
if [ "$headers" != . ]; then
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -isystem "$headers" -fsyntax-only \
        tests/cuda/cu_types_check.c && ok || bad "our declarations are not cuda.h's"
else
    echo "no cuda.h: our declarations are not compared with it"
    skipped=$((skipped + 1))
fi

# No kernel keeps anything in local memory.
nvcc=$(make -s --no-print-directory -f - <<<"include Makefile
print-nvcc:; @echo \$(NVCC)" print-nvcc)
used=$("$nvcc" --fmad=false -arch=sm_90 -cubin -Xptxas -v -I. -o /dev/null \
    "$build/obj/cuda/kernels.cu" 2>&1)
grep -E 'Compiling entry|Used' <<<"$used" | sed -E "s/ptxas info *: //; s/Compiling entry function//"
if grep -q 'bytes stack frame' <<<"$used" &&
    ! grep 'bytes stack frame' <<<"$used" | grep -qv ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads'; then
    ok
else
    bad "a kernel spills or has a stack"
fi

# Both drivers: the kernels' sources on the CPU, and the unmodified library on the PTX interpreter,
# which must have nothing to report.
for driver in hostgpu standin; do
    log=$build/log/cuda-conform-$driver.log
    export LD_LIBRARY_PATH=$build/$driver STANDIN_LOG=$build/log/cuda-$driver-reports.log
    rm -f "$STANDIN_LOG"
    timeout 300 "$build/sluice-conform" "$lib" >"$log" 2>&1
    grep '^FAIL' "$log"
    add "$(tail -n 1 "$log")"
    out=$(timeout 300 "$build/cuda_differs" "$build/libsluice_cpu.so" "$lib" "$rows" 2>&1)
    grep -E '^(not ok|standin)' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    out=$(timeout 300 "$build/balance_solves" 400 1 peer 2>&1)
    grep '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    out=$(timeout 300 "$build/water_places" 200 1 peer 2>&1)
    grep '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    out=$(timeout 300 "$build/balance_differs" "$build/libsluice_cpu.so" "$lib" 60 2>&1)
    grep '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    if [ -s "$STANDIN_LOG" ]; then
        bad "the stand-in reports: $(head -n 3 "$STANDIN_LOG")"
    else
        ok
    fi
done

# A driver that fails: LD_LIBRARY_PATH is the stand-in's.
out=$(timeout 300 "$build/cuda_faults" "$lib" "${SCHEDULES:-60}" 2>&1)
grep -A1 '^not ok' <<<"$out"
add "$(tail -n 1 <<<"$out")"
finish
