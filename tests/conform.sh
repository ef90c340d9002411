#!/usr/bin/env bash
# Runs the conformance suite on the plugin, which must pass it, and on every mutant, which must
# not; prints the table of mutants.
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
suite=$BUILD/sluice-conform
. tests/mutant_table.sh
logs=$BUILD/log/conform
mkdir -p "$logs"

if ! ls abi/conformance/*.c >/dev/null 2>&1; then
    echo "abi/conformance is empty"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
make --no-print-directory -s -j2 BUILD="$BUILD" lib "$suite" mutants || {
    echo "0 passed, 1 failed"
    exit 1
}

timeout 300 "$suite" "$BUILD/libsluice_cpu.so" >"$logs/plugin.log" 2>&1
rc=$?
line=$(tail -n 1 "$logs/plugin.log")
if [[ ! $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    tail -n 20 "$logs/plugin.log"
    echo "the suite ended with $rc and no closing line"
    echo "0 passed, 1 failed"
    exit 1
fi
passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[4]:-0}
[ "$failed" = 0 ] || grep -iE '^(not ok|fail)' "$logs/plugin.log"
[ $rc = 0 ] || [ "$failed" -gt 0 ] || { failed=1; echo "the suite ended with $rc"; }
echo "libsluice_cpu.so: $line"

if [ -f $list ]; then
    # shellcheck disable=SC2046  # words
    run_mutants "$BUILD/mutants" "$logs" $(all_mutants)
else
    echo "$list is not there"
    skipped=$((skipped + 1))
fi

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" = 0 ]
