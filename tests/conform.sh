#!/usr/bin/env bash
# Runs the conformance suite on the plugin, which must pass it, and on every mutant, which must
# not; prints the table of mutants. A mutant that is caught is a pass. It counts as caught only
# when some cases pass: a plugin that does not even load proves nothing.
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
suite=$BUILD/sluice-conform
list=abi/mutants/mutants.txt
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

# Each mutant's run ends at the first failed case; the one that should catch it is tried first.
one() {
    local begin
    begin=$(sed -n "s/^ *$1 *|[^|]*| *//p" abi/mutants/mutants.txt)
    timeout 300 "$BUILD/sluice-conform" --first --timeout 8 ${begin:+--begin "$begin"} "$BUILD/mutants/$1.so" \
        >"$BUILD/log/conform/$1.log" 2>&1
}
export -f one
if [ -f $list ]; then
    names=$(sed -n 's/^ *\([a-z0-9_]*\) *|.*/\1/p' $list)
    printf '%s\n' "$names" | xargs -r -P 2 -n 1 bash -c 'one "$1"' _ || true
    printf '%-26s | %-66s | %s\n' mutant "what it breaks" "caught by"
    for name in $names; do
        what=$(sed -n "s/^ *$name *| *\([^|]*[^| ]\).*/\1/p" $list)
        log=$logs/$name.log
        line=$(tail -n 1 "$log")
        by=$(sed -nE 's/^(not ok|FAIL(ED)?)[: ]+([^ :]+).*/\3/p' "$log" | awk '
            NR <= 3 { text = text (NR > 1 ? ", " : "") $0 }
            END { print text (NR > 3 ? ", and " NR - 3 " more" : "") }')
        if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] && [ "${BASH_REMATCH[1]}" -gt 0 ] &&
            [ "${BASH_REMATCH[2]}" -gt 0 ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            by="NOT CAUGHT (${line:-no output})"
        fi
        printf '%-26s | %-66s | %s\n' "$name" "$what" "$by"
    done
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
