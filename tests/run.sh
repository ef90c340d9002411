#!/usr/bin/env bash
# Runs the parts of `make check`, `make test` or `make test-long` and adds up their closing lines
# ("N passed, N failed[, N skipped]"). A part that ends without one, or not with 0, or at its
# deadline, is at least one failure.
set -u
cd "$(dirname "$0")/.." || exit 1
level=${1:-test}
build=${BUILD:-build}
logs=$build/log
mkdir -p "$logs"
export BUILD=$build CC=${CC:-cc} CXX=${CXX:-c++}
export ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=0
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
unset MAKEFLAGS MAKELEVEL MFLAGS
make="make --no-print-directory -s -j2 BUILD=$build CC=$CC CXX=$CXX"

passed=0 failed=0 skipped=0

# part NAME SECONDS COMMAND: run it, add its counts.
part() {
    local name=$1 seconds=$2 begin=$SECONDS rc line log=$logs/$1.log
    timeout -k 10 "$seconds" bash -c "$3" >"$log" 2>&1
    rc=$?
    line=$(tail -n 1 "$log")
    local p=0 f=0 s=0 why=
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
    else
        why="no closing line"
    fi
    [ $rc = 0 ] || [ "$f" -gt 0 ] || why="${why:+$why, }exit code $rc"
    [ $rc = 124 ] && why="not done after $seconds s"
    [ $((p + f + s)) = 0 ] && why=${why:-nothing was run}
    [ -n "$why" ] && [ "$f" = 0 ] && f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-12s %5d passed %4d failed %4d skipped %5d s%s\n' "$name" "$p" "$f" "$s" \
        $((SECONDS - begin)) "${why:+  ($why)}"
    if [ "$f" -gt 0 ]; then
        echo "---- $name failed; the end of $log:"
        tail -n 40 "$log"
        echo "----"
    fi
}

# script NAME SECONDS [ARGUMENTS]: the part is tests/NAME.sh, skipped while there is none.
script() {
    local name=$1 seconds=$2
    shift 2
    if [ -f "tests/$name.sh" ]; then
        part "$name" "$seconds" "bash tests/$name.sh $*"
    else
        part "$name" 5 "echo 'tests/$name.sh is not there'; echo '0 passed, 0 failed, 1 skipped'"
    fi
}

selftest='out=$("$BUILD/selftest" | tail -n 1)
    echo "the failing harness test ends with: $out"
    if [ "$out" = "1 passed, 1 failed, 1 skipped" ]; then
        echo "1 passed, 0 failed"
    else
        echo "0 passed, 1 failed"
        exit 1
    fi'

# Newer kernels place memory where ThreadSanitizer cannot have it; without randomisation it works.
plain=
setarch -R true 2>/dev/null && plain="setarch -R"

if ! bash tests/setup.sh "$level"; then
    echo "0 passed, 1 failed"
    exit 1
fi

# The style needs nothing that is built: it takes what the other parts leave idle.
lint=
if [ "$level" != check ]; then
    nice -n 19 bash tests/lint.sh >"$logs/style.log" 2>&1 &
    lint=$!
fi
part harness 120 "$make selftest && { $selftest; }"
part build 300 "$make all && echo '1 passed, 0 failed'"
part unit 300 "$make unit && $build/unit"
if [ "$level" = check ]; then
    script header 60 quick
    script symbols 60
else
    part asan 400 "$make unit-asan && CT_PATIENCE=3 bash tests/halves.sh $build/asan/unit"
    # The planner has no threads, and its tests would take half of the time.
    part tsan 400 "$make unit-tsan && CT_PATIENCE=3 bash tests/halves.sh $plain $build/tsan/unit \
        '--gtest_filter=-level_*'"
    part clang 400 "make --no-print-directory -s -j2 BUILD=$build/clang CC=clang CXX=clang++ \
        all unit && $build/clang/unit"
    script header 120
    script symbols 60
    script abi 120
    script conform 400
    script hosts 200
    script cli 200
    script install 120
    script fuzz 300
    script system_calls 120
    [ ! -f tests/mpi.sh ] || script mpi 400
    script standin 200
    script cuda 500
    while kill -0 "$lint" 2>/dev/null && [ $SECONDS -lt 1500 ]; do sleep 1; done
    kill "$lint" 2>/dev/null && echo 'not done after 1500 s' >>"$logs/style.log"
    part lint 60 "cat $logs/style.log; tail -n 1 $logs/style.log | grep -q ' 0 failed'"
    script docs 120
fi
if [ "$level" = long ]; then
    part valgrind 1800 "CT_PATIENCE=20 valgrind -q --error-exitcode=9 --leak-check=full $build/unit"
    [ ! -f tests/long.sh ] || script long 3600
    script cuda_long 14400
fi

summary="$passed passed, $failed failed"
[ $skipped -gt 0 ] && summary="$summary, $skipped skipped"
echo "$summary"
[ $failed = 0 ]
