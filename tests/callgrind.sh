#!/usr/bin/env bash
# Instructions a token of the fused route, and a layer of the step balance, counted by callgrind: the
# difference of a run with n and one with 2n calls, so that set-up drops out. Valgrind has no
# AVX-512; the path is avx2.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
tool=$BUILD/sluice

command -v valgrind >/dev/null || {
    echo "callgrind: valgrind is not installed"
    exit 0
}

# collected CALLS ARGUMENTS...: instructions of the whole run.
collected() {
    local calls=$1
    shift
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$tool" bench --count "$calls" "$@" 2>&1 |
        sed -nE 's/^==[0-9]+== Collected *: *([0-9]+).*/\1/p'
}

# Where the plugin offers no choice, the best that Valgrind shows is avx2 too.
path=(--path avx2)
"$tool" bench --count 1 --shape mixtral-8x7b --tokens 1 "${path[@]}" 2>/dev/null || path=()

failed=0
printf '%-14s %6s  %s\n' shape T "instructions a token (route, avx2)"
for shape in deepseek-v3 qwen3-235b mixtral-8x7b; do
    # Both batch sizes go once over the same 4096 tokens.
    for size in "64 64" "4096 1"; do
        read -r tokens calls <<<"$size"
        run=(--shape "$shape" --tokens "$tokens" "${path[@]}")
        once=$(collected "$calls" "${run[@]}")
        twice=$(collected $((2 * calls)) "${run[@]}")
        if [ -z "$once" ] || [ -z "$twice" ]; then
            echo "$shape: the run under callgrind failed"
            failed=1
            continue
        fi
        awk -v s="$shape" -v t="$tokens" -v n="$((twice - once))" -v k="$((tokens * calls))" \
            'BEGIN { printf "%-14s %6d  %.1f\n", s, t, n / k }'
    done
done

# Four layers are solved in turn.
printf '\n%-14s %6s  %s\n' shape T "instructions a layer (solve, tokens)"
for size in "w32-r32 512" "w144-r32 128"; do
    read -r shape tokens <<<"$size"
    once=$(collected 16 --shape "$shape")
    twice=$(collected 32 --shape "$shape")
    if [ -z "$once" ] || [ -z "$twice" ]; then
        echo "$shape: the run under callgrind failed"
        failed=1
        continue
    fi
    printf '%-14s %6d  %d\n' "$shape" "$tokens" $(((twice - once) / 16))
done
exit $failed
