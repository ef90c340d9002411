#!/usr/bin/env bash
# Runs a program of tests as two processes, each half of them, and adds up their closing lines.
# halves.sh COMMAND...
set -u
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
for half in 0 1; do
    GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$half "$@" >"$logs/$half" 2>&1 &
    pids[half]=$!
done
rc=0 passed=0 failed=0 skipped=0
for half in 0 1; do
    wait "${pids[half]}" || rc=$?
    cat "$logs/$half"
    line=$(tail -n 1 "$logs/$half")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
exit $rc
