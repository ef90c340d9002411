#!/usr/bin/env bash
# Fuzzing. No argument: replays the corpus, one check a file, then runs each fuzzer 8 s, two beside
# each other.
#     fuzz.sh replay | run [SECONDS]: one of the two, already built
# What a run keeps is below $BUILD/fuzz; an input that breaks something is named, and is then
# best copied to tests/fuzz/corpus/NAME.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build} what=${1:-both} seconds=${2:-8}
make="make --no-print-directory -s -j2 BUILD=$build CC=${CC:-cc} CXX=${CXX:-c++}"
export UBSAN_OPTIONS=print_stacktrace=1
passed=0 failed=0 skipped=0
names=$(cd tests/fuzz/corpus && ls)

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "not ok: $1"
    tail -n 30 "$2"
}

replay() {
    local name file log=$build/fuzz/replay.log
    for name in $names; do
        for file in tests/fuzz/corpus/"$name"/*; do
            if timeout -k 5 60 "$build/asan/replay_$name" "$file" >"$log" 2>&1; then
                ok
            else
                bad "replay of $file" "$log"
            fi
        done
    done
}

# One fuzzer; how it ended is in NAME.rc.
fuzz() {
    local name=$1
    mkdir -p "$build/fuzz/found/$name"
    timeout -k 5 $((seconds + 60)) "$build/fuzz/fuzz_$name" -max_total_time="$seconds" \
        -max_len=4096 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$build/fuzz/$name-" "$build/fuzz/found/$name" \
        "tests/fuzz/corpus/$name" >"$build/fuzz/$name.log" 2>&1
    echo $? >"$build/fuzz/$name.rc"
}

run() {
    local name log rc
    for name in $names; do
        rm -f "$build/fuzz/$name.rc"
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        fuzz "$name" &
    done
    wait
    for name in $names; do
        log=$build/fuzz/$name.log rc=$(cat "$build/fuzz/$name.rc")
        if [ "$rc" = 0 ]; then
            ok
            echo "$name: $(sed -n 's/^stat::number_of_executed_units: //p' "$log") inputs, none breaks it"
        else
            bad "fuzz_$name ended with $rc" "$log"
        fi
    done
}

# Is there a clang that can build fuzzers?
has_fuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return n < 0 ? *d : 0; }' |
        "${FUZZ_CC:-clang}" -x c -fsanitize=fuzzer,address -o "$build/fuzz/probe" - 2>/dev/null
}

mkdir -p "$build/fuzz"
case $what in
replay) replay ;;
run) run ;;
*)
    if $make fuzz-replay-build; then replay; else failed=$((failed + 1)); fi
    if ! has_fuzzer; then
        skipped=1
        echo "skip: no clang with libFuzzer"
    elif $make fuzz-build; then
        run
    else
        failed=$((failed + 1))
    fi
    ;;
esac

line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" = 0 ]
