#!/usr/bin/env bash
# The CUDA backend without a GPU: it builds, shows one symbol, says why it cannot run here, and,
# with its kernels' sources run on the CPU (tests/cuda/host_gpu.cc) and with its PTX run by the
# stand-in, passes the conformance suite and gives the CPU backend's bits. ROWS: of the comparison;
# SCHEDULES: of failures.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
rows=${ROWS:-3000}
patience=${CT_PATIENCE:-1} # CT_PATIENCE: deadlines are that many times longer
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
mkdir -p "$build/log"
make="make --no-print-directory -s BUILD=$build"

why=$($make cuda 2>&1) || bad "make cuda: $why"
if [ ! -f "$lib" ]; then
    echo "${why:-$lib is not built}"
    skipped=1
    finish
fi
$make -j2 lib tool hostgpu standin "$build/sluice-conform" "$build/cuda_differs" \
    "$build/cuda_counts" "$build/cuda_moves" "$build/cuda_faults" "$build/cuda_lost" \
    "$build/cuda_joins" "$build/cuda_killed" \
    "$build/cuda_layout" "$build/balance_solves" "$build/water_places" "$build/balance_differs" ||
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
nccl=$(find /usr/local/cuda/include /usr/include "$build/cuda" -name nccl.h 2>/dev/null | head -n 1)
if [ -n "$nccl" ] && [ "$headers" != . ]; then
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -isystem "$headers" -isystem "$(dirname "$nccl")" \
        -fsyntax-only tests/cuda/nccl_types_check.c && ok || bad "our declarations are not nccl.h's"
else
    echo "no nccl.h: our declarations are not compared with it"
    skipped=$((skipped + 1))
fi

# No kernel keeps anything in local memory, on any architecture.
nvcc=$(make -s --no-print-directory BUILD="$build" -f - <<<"include Makefile
print-nvcc:; @echo \$(NVCC) \$(foreach a,\$(CUDA_ARCHS),-gencode arch=compute_\$a,code=sm_\$a)" print-nvcc)
# shellcheck disable=SC2086  # words
used=$($nvcc --fmad=false -fatbin -Xptxas -v -I. -o /dev/null "$build/obj/cuda/kernels.cu" 2>&1)
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
    timeout $((600 * patience)) "$build/sluice-conform" --timeout $((60 * patience)) "$lib" \
        >"$log" 2>&1
    grep '^FAIL' "$log"
    add "$(tail -n 1 "$log")"
    # Ranks in different calls (fault.mismatch_call) leave NCCL with messages of two lengths.
    [ -f "$STANDIN_LOG" ] && sed -i '/NCCL: operations do not match/d' "$STANDIN_LOG"
    # On 132 multiprocessors so few rows are one a warp, on 2 they are several.
    for processors in 132 2; do
        out=$(STANDIN_PROCESSORS=$processors timeout $((300 * patience)) "$build/cuda_differs" \
            "$build/libsluice_cpu.so" "$lib" $((rows / 2)) $processors 2>&1)
        grep -E '^(not ok|standin)' <<<"$out"
        add "$(tail -n 1 <<<"$out")"
    done
    out=$(timeout $((300 * patience)) "$build/balance_solves" 400 1 peer 2>&1)
    grep '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    out=$(timeout $((300 * patience)) "$build/water_places" 200 1 peer 2>&1)
    grep '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    out=$(timeout $((300 * patience)) "$build/balance_differs" "$build/libsluice_cpu.so" "$lib" 60 2>&1)
    grep '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
    if [ -s "$STANDIN_LOG" ]; then
        bad "the stand-in reports: $(head -n 3 "$STANDIN_LOG")"
    else
        ok
    fi
done

# Mutants, of which `make test-long` has all.
add "$(bash tests/cuda_mutants.sh few | tee "$build/log/cuda-mutants.log" | tail -n 1)"
grep 'NOT CAUGHT' "$build/log/cuda-mutants.log"

# What the routing kernels execute, within the limits that are promised (LD_LIBRARY_PATH is the
# stand-in's by now).
for words in "" "all deepseek-v3 qwen3"; do
    # shellcheck disable=SC2086  # words
    out=$("$build/cuda_counts" "$lib" limits $words 2>&1)
    grep -E '^(not ok|standin)' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
done

# Rows that move between ranks: beside the CPU backend; among 16 ranks too.
for scenes in "${SCENES:-60}" "3 1 16"; do
    # shellcheck disable=SC2086  # words
    out=$(STANDIN_DEVICES=16 timeout $((300 * patience)) "$build/cuda_moves" \
        "$build/libsluice_cpu.so" "$lib" $scenes 2>&1)
    grep -E '^(not ok|standin)' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
done
if [ -s "$STANDIN_LOG" ]; then
    bad "the stand-in reports: $(head -n 3 "$STANDIN_LOG")"
else
    ok
fi

# Layers served through the whole of it, as far as the backend does.
served=$(timeout $((300 * patience)) "$build/sluice" replay --plugin "$lib" --standin \
    --model deepseek-v2-lite --layers 2 --ranks 4 --tokens 16 --redundant 8 2>&1 | tail -n 1)
case $served in OK:*) ok ;; *) bad "replay: $served" ;; esac
# What laying out a dispatch executes: warp instructions for one token, and a token of 4096.
for limit in "1 400" "4096 12"; do
    trace=$build/log/cuda-layout.trace
    rm -f "$trace"
    STANDIN_TRACE=$trace timeout $((300 * patience)) "$build/cuda_layout" "$lib" "${limit% *}" || bad "cuda_layout"
    awk -v tokens="${limit% *}" -v most="${limit#* }" '$1 == "slc_lay_out" && $7 / tokens > worst { worst = $7 / tokens }
        END { printf "layout at T = %d: %.1f warp instructions a token, at most %d\n", tokens, worst, most
              exit !(worst > 0 && worst <= most) }' "$trace" && ok || bad "the layout executes too much"
done

# An NCCL that is too old is refused by its version; the oldest that is not serves.
out=$(STANDIN_NCCL_VERSION=21200 "$build/sluice-conform" --only dispatch.one_token "$lib" 2>&1)
grep -q 'UNAVAILABLE.*must be at least 2.14' <<<"$out" && ok || bad "NCCL 2.12: $(tail -n 2 <<<"$out")"
out=$(STANDIN_NCCL_VERSION=21400 timeout $((300 * patience)) "$build/cuda_moves" "$build/libsluice_cpu.so" "$lib" 10 2>&1)
grep -E '^(not ok|standin)' <<<"$out"
add "$(tail -n 1 <<<"$out")"

# A driver that fails; an NCCL that does, and ranks that are lost. What ranks do not agree on then
# is reported, as it should be.
export STANDIN_LOG=/dev/null
# Ranks that come back and join, and that are killed: they wait more than they work.
for lives in cuda_joins cuda_killed; do
    timeout $((300 * patience)) "$build/$lives" "$lib" >"$build/log/$lives.log" 2>&1 &
done
for faults in cuda_faults cuda_lost; do
    out=$(timeout $((300 * patience)) "$build/$faults" "$lib" "${SCHEDULES:-40}" 2>&1)
    grep -A1 '^not ok' <<<"$out"
    add "$(tail -n 1 <<<"$out")"
done
wait
for lives in cuda_joins cuda_killed; do
    grep '^not ok' "$build/log/$lives.log"
    add "$(tail -n 1 "$build/log/$lives.log")"
done
finish
