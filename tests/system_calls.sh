#!/usr/bin/env bash
# The hot calls make no system call and allocate nothing: tests/hot/hot_loop.c calls them under
# strace, between marks. With several ranks dispatch and combine wait for each other as threads,
# and may sleep (futex) and read the clock; the rest may not.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "not ok: $*"
}

skip() {
    echo "skip: $*"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
command -v strace >/dev/null || skip "strace is not installed"
strace -o /dev/null true 2>"$tmp/err" || skip "strace may not trace here: $(head -n 1 "$tmp/err")"

if ! make --no-print-directory -s -j2 BUILD="$build" CC="${CC:-cc}" CXX="${CXX:-c++}" hot; then
    echo "0 passed, 1 failed"
    exit 1
fi
plugin=$build/libsluice_cpu.so
case $plugin in /*) ;; *) plugin=./$plugin ;; esac

# look RANKS [BALANCE or MISTAKE]: a line for each call and T in $tmp/seen:
#     name|allocations|of those the engine's|marks that begin|marks that end|system calls between
look() {
    rm -f "$tmp"/trace.*
    : >"$tmp/seen"
    timeout -k 5 60 strace -ff -s 200 -o "$tmp/trace" "$build/hot_loop" "$plugin" "$@" \
        >"$tmp/out" 2>"$tmp/err" || return 1
    awk -v OFS='|' '
        FILENAME ~ /\/out$/ {
            split($0, part, ": "); split(part[2], count, " ")
            order[++lines] = part[1]; libc[part[1]] = count[1]; engine[part[1]] = count[2]
            next
        }
        FNR == 1 { inside = "" }
        /^write\(-1, "(begin|end) / {
            split($0, part, "\""); name = part[2]; sub(/^[a-z]* /, "", name)
            inside = ""
            if (part[2] ~ /^end /) { ended[name]++ } else { begun[name]++; inside = name }
            next
        }
        inside != "" {
            call = $0; sub(/\(.*/, "", call)
            if (inside !~ /, waits$/ || call !~ /^(futex|clock_gettime)$/)
                between[inside] = between[inside] " " call
        }
        END {
            for (i = 1; i <= lines; i++) {
                n = order[i]; print n, libc[n], engine[n], begun[n] + 0, ended[n] + 0, between[n]
            }
        }' "$tmp/out" "$tmp"/trace.* >"$tmp/seen"
}

for how in '1' '2' '1 now' '2 now' '2 stale'; do
    ranks=${how%% *}
    # shellcheck disable=SC2086
    if ! look $how; then
        bad "hot_loop with $how ranks: $(tail -n 3 "$tmp/err")"
        continue
    fi
    while IFS='|' read -r name libc engine begun ended between; do
        if [ "$begun $ended" != "$ranks $ranks" ]; then
            bad "$name: $begun marks begin it, $ended end it"
        elif [ "$libc $engine" != "0 0" ]; then
            bad "$name: $libc calls of the allocator, $engine of the engine's"
        elif [ -n "$between" ]; then
            bad "$name: system calls:$between"
        else
            ok
        fi
    done <"$tmp/seen"
done

# What the test looks for is found: every line shows the mistake made there.
# finds MISTAKE PATTERN
finds() {
    if look 1 "$1" && [ -s "$tmp/seen" ] && ! grep -vqE "$2" "$tmp/seen"; then
        ok
    else
        bad "a mistake ($1) is not found: $(grep -vE "$2" "$tmp/seen" | head -n 2)"
    fi
}
finds allocate '^[^|]*\|[1-9][0-9]*\|0\|1\|1\|'
finds engine '^[^|]*\|2\|2\|1\|1\|$'
finds write '^[^|]*\|0\|0\|1\|1\| write$'

echo "$passed passed, $failed failed"
[ $failed = 0 ]
