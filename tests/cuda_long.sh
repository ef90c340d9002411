#!/usr/bin/env bash
# The CUDA backend at length, on the stand-in: the PTX of the other architectures, many rows beside
# the CPU's, many schedules of failures. ROWS, SCHEDULES, SEED.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
lib=$build/libsluice_cuda.so
passed=0 failed=0 skipped=0
# add NAME LINE: a closing line's numbers.
add() {
    if [[ $2 =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
        echo "$1: $2"
    else
        failed=$((failed + 1))
        echo "not ok: $1 has no closing line: $2"
    fi
}
make="make --no-print-directory -s BUILD=$build"
$make -j2 lib tool cuda standin "$build/sluice-conform" "$build/cuda_differs" "$build/cuda_faults" \
    "$build/cuda_moves" || exit 1
if [ ! -f "$lib" ]; then
    echo "no nvcc: $lib is not built"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
export LD_LIBRARY_PATH=$build/standin STANDIN_LOG=$build/log/cuda-long-reports.log
mkdir -p "$build/log"
rm -f "$STANDIN_LOG"
for sm in 80 100 120; do
    log=$build/log/cuda-conform-sm_$sm.log
    STANDIN_SM=$sm timeout 1200 "$build/sluice-conform" --timeout 100 "$lib" >"$log" 2>&1
    grep '^FAIL' "$log"
    # Ranks in different calls (fault.mismatch_call) leave NCCL with messages of two lengths.
    [ -f "$STANDIN_LOG" ] && sed -i '/NCCL: operations do not match/d' "$STANDIN_LOG"
    add "conformance, sm_$sm" "$(tail -n 1 "$log")"
    out=$(STANDIN_SM=$sm timeout 1200 "$build/cuda_differs" "$build/libsluice_cpu.so" "$lib" 3000 2>&1)
    grep -E '^not ok' <<<"$out"
    add "beside the CPU, sm_$sm" "$(tail -n 1 <<<"$out")"
done
add "mutants" "$(timeout 3600 bash tests/cuda_mutants.sh | tee "$build/log/cuda-mutants-all.log" | tail -n 1)"
grep 'NOT CAUGHT' "$build/log/cuda-mutants-all.log"
out=$(timeout 7000 "$build/cuda_differs" "$build/libsluice_cpu.so" "$lib" "${ROWS:-1000000}" 2>&1)
grep -E '^not ok' <<<"$out"
add "beside the CPU, ${ROWS:-1000000} rows" "$(tail -n 1 <<<"$out")"
# Rows among 16 ranks, and rows so long that staging is filled more than once.
for scenes in "20 1 16" "2 1 rounds"; do
    # shellcheck disable=SC2086  # words
    out=$(STANDIN_DEVICES=16 timeout 1200 "$build/cuda_moves" "$build/libsluice_cpu.so" "$lib" \
        $scenes 2>&1)
    grep -E '^not ok' <<<"$out"
    add "rows that move, $scenes" "$(tail -n 1 <<<"$out")"
done
# Real tokens, where the data is.
routing=${SLUICE_SHARED:-../shared}/data/deepseek-v2-lite-routing
if [ -f "$routing/law.ids.npy" ]; then
    served=$(timeout 3000 "$build/sluice" replay "$routing/law.ids.npy" \
        --weights "$routing/law.weights.npy" --model deepseek-v2-lite --layers 4 --ranks 4 \
        --redundant 8 --plugin "$lib" --standin 2>&1 | tail -n 1)
    case $served in
    OK:*) passed=$((passed + 1)) ;;
    *'does not do that'*) skipped=$((skipped + 1)) ;;
    *)
        failed=$((failed + 1))
        echo "not ok: replay: $served"
        ;;
    esac
else
    skipped=$((skipped + 1))
fi
if [ -s "$STANDIN_LOG" ]; then
    failed=$((failed + 1))
    echo "not ok: the stand-in reports: $(head -n 3 "$STANDIN_LOG")"
else
    passed=$((passed + 1))
fi
# What ranks do not agree on then is reported, as it should be.
export STANDIN_LOG=/dev/null
for faults in cuda_faults cuda_lost; do
    out=$(timeout 3000 "$build/$faults" "$lib" "${SCHEDULES:-1000}" "${SEED:-1}" 2>&1)
    grep -A1 -E '^not ok' <<<"$out"
    add "${SCHEDULES:-1000} schedules, $faults" "$(tail -n 1 <<<"$out")"
done
# The same under sanitizers: the host's code, its threads and the one that watches.
plain=
setarch -R true 2>/dev/null && plain="setarch -R"
for sanitizer in thread address,undefined; do
    own=$build/cuda-${sanitizer%,*}
    mkdir -p "$own/obj/cuda"
    cp "$build/obj/cuda/kernels.fatbin" "$own/obj/cuda/"
    make --no-print-directory -s -j2 BUILD="$own" CFLAGS="-O1 -g -fsanitize=$sanitizer" \
        LDFLAGS="-fsanitize=$sanitizer" CLOSED= "$own/libsluice_cpu.so" "$own/libsluice_cuda.so" \
        "$own/cuda_lost" "$own/cuda_moves" "$own/cuda_joins" || failed=$((failed + 1))
    # The stand-in keeps what it knows of memory that was freed.
    export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 TSAN_OPTIONS=halt_on_error=1
    for words in "cuda_lost $own/libsluice_cuda.so 60" "cuda_joins $own/libsluice_cuda.so" \
        "cuda_moves $own/libsluice_cpu.so $own/libsluice_cuda.so 60"; do
        # shellcheck disable=SC2086  # words
        out=$(timeout 1200 $plain "$own/"$words 2>&1)
        grep -E '^not ok|SUMMARY|runtime error' <<<"$out"
        add "$sanitizer, ${words%% *}" "$(tail -n 1 <<<"$out")"
    done
done
if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed = 0 ]
