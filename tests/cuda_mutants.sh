#!/usr/bin/env bash
# The mutants of libsluice_cuda.so on the stand-in, which the conformance suite must catch: those
# that are named, "few" that stand for all, or all. Prints their table.
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
export LD_LIBRARY_PATH=$BUILD/standin STANDIN_LOG=/dev/null # what mutants do is reported, rightly
export MUTANT_TIMEOUT=$((30 * ${CT_PATIENCE:-1}))
logs=$BUILD/log/cuda_mutants
passed=0 failed=0
. tests/mutant_table.sh
mkdir -p "$logs"
make="make --no-print-directory -s BUILD=$BUILD"
$make -j2 cuda standin "$BUILD/sluice-conform"
if [ ! -f "$BUILD/libsluice_cuda.so" ]; then
    echo "no nvcc: $BUILD/libsluice_cuda.so is not built"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
[ "$*" != few ] || set -- recorder_after_shift shared_counted slots_count_shared view_row_more \
    view_of_bias view_copies tie_to_higher_id nan_chosen weight_after_bias dead_weight_kept \
    wide_ids_read_narrow padding_keeps_shared padding_sent sources_descending overflow_silent \
    combine_backward shared_counted_in_level balance_quota_short
[ $# -gt 0 ] || mapfile -t names < <($make cuda-mutants-list)
[ $# -eq 0 ] || names=("$@")
left_out=$(comm -23 <(all_mutants | sort) \
    <({ $make cuda-mutants-list && list=abi/mutants/not_cuda.txt all_mutants; } | sort))
if [ -n "$left_out" ]; then
    echo "neither built for CUDA nor in abi/mutants/not_cuda.txt: ${left_out//$'\n'/ }"
    failed=$((failed + 1))
fi
targets=("${names[@]/#/$BUILD/cuda_mutants/}")
$make -j2 "${targets[@]/%/.so}" || failed=1
run_mutants "$BUILD/cuda_mutants" "$logs" "${names[@]}"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
