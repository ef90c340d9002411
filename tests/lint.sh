#!/usr/bin/env bash
# Style: layout, clang-tidy, file names, marks left behind, length of files.
set -u
cd "$(dirname "$0")/.." || exit 1

passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "not ok: $*"
}
# judge "what is wrong" LIST: one check, that holds when LIST is empty.
judge() { if [ -z "$2" ]; then ok; else bad "$1"; printf '%s\n' "$2" | sed 's/^/    /'; fi; }

all=$(git ls-files -co --exclude-standard 2>/dev/null) || all=
[ -n "$all" ] || all=$(find . -type f -not -path './build/*' -not -path './.*' | sed 's|^\./||')
all=$(printf '%s\n' "$all" | while read -r f; do [ -f "$f" ] && echo "$f"; done)
# Files that are kept as others wrote them.
ours=$(printf '%s\n' "$all" | grep -vE '^tests/(dlpack|golden)/|^abi/baseline/|^LICENSE$')
sources=$(printf '%s\n' "$ours" | grep -E '\.(c|h|cc)$')

for f in $sources; do
    out=$(clang-format --dry-run -Werror "$f" 2>&1) && ok || bad "layout of $f (make format): $(head -n 1 <<<"$out")"
done

judge "file names that occur twice" \
    "$(printf '%s\n' "$all" | grep -vE '(^|/)(README\.md|Makefile|__init__\.py)$|^tests/golden/' |
        sed 's|.*/||' | sort | uniq -d)"
judge "marks left behind" \
    "$(printf '%s\n' "$ours" | xargs -r grep -InE '\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b' | cut -c1-160)"
# plugin.h is one file so that an engine can copy it.
judge "sources over 600 lines" \
    "$(printf '%s\n' "$sources" | grep -v '^plugin\.h$' | xargs -r wc -l | awk '$2 != "total" && $1 > 600 { print $2, $1 }')"
judge "source lines over 100 characters" \
    "$(printf '%s\n' "$sources" | xargs -r awk 'length > 100 { print FILENAME ":" FNR }')"
judge "files over 1 MB" "$(printf '%s\n' "$all" | xargs -r du -k | awk '$1 > 1024 { print $2 }')"
judge "src/core that allocates, reads, writes or starts threads" \
    "$(printf '%s\n' "$ours" | grep '^src/core/.*\.[ch]$' |
        xargs -r grep -nE '\b(malloc|calloc|realloc|free|fopen|printf|puts|pthread_[a-z_]+)\(|<(pthread|unistd)\.h>')"
judge "includes against the direction of the house" "$(
    {
        printf '%s\n' "$ours" | grep '^src/core/' | xargs -r grep -nE '#include "(\.\./)?(backend|cpu|comm|host|tool)'
        printf '%s\n' "$ours" | grep '^src/backend/' | xargs -r grep -nE '#include "(\.\./)?(cpu|comm|host|tool)'
        printf '%s\n' "$ours" | grep '^src/cpu/' | xargs -r grep -nE '#include "(\.\./)?(comm|host|tool)'
        printf '%s\n' "$ours" | grep '^cuda/' | xargs -r grep -nE '#include "(\.\./)*src/(cpu|comm|host|tool)'
        printf '%s\n' "$ours" | grep -E '^src/' | xargs -r grep -nE '#include "(\.\./)*cuda/'
        printf '%s\n' "$ours" | grep '^src/comm/' | xargs -r grep -nE '#include "(\.\./)?(core|backend|cpu|host|tool)/'
        printf '%s\n' "$ours" | grep '^src/host/' | xargs -r grep -nE '#include "(\.\./)?(core|backend|cpu|comm|tool)/'
        printf '%s\n' "$ours" | grep '^src/tool/' | xargs -r grep -nE '#include "(\.\./)?(core|backend|cpu)/'
    } 2>/dev/null)"

tidy() {
    local extra=
    case $1 in
    # The loader and the command read the environment; only the plugin must not.
    src/host/* | src/tool/* | abi/*) extra=--checks=-concurrency-mt-unsafe ;;
    # Requests begin and end in different functions.
    src/comm/comm_mpi*) extra=--checks=-clang-analyzer-optin.mpi.MPI-Checker ;;
    # Offsets inside a tile of a few rows; macros over registers, whose arguments are names.
    src/cpu/cpu_choose*) extra=--checks=-bugprone-implicit-widening-of-multiplication-result,-bugprone-macro-parentheses ;;
    esac
    if out=$(clang-tidy --quiet $extra "$1" -- -std=c11 -D_POSIX_C_SOURCE=200809L -I. -Isrc 2>&1); then
        echo ok
    else
        printf '%s\n' "$out" | grep -E 'error|warning' | head -n 12
        echo "not ok: clang-tidy $1"
    fi
}
export -f tidy
files=$(printf '%s\n' "$ours" | grep -E '^(src|abi/conformance|cuda)/.*\.c$')
# comm_mpi needs mpi.h.
command -v mpicc >/dev/null || files=$(printf '%s\n' "$files" | grep -v '/comm_mpi.*\.c$')
export CPATH=${CPATH:-}$(command -v mpicc >/dev/null && mpicc --showme:incdirs 2>/dev/null | tr ' ' ':' | sed 's/^/:/')
out=$(printf '%s\n' "$files" | xargs -r -P 2 -n 1 bash -c 'tidy "$1"' _)
printf '%s\n' "$out" | grep -vE '^(ok)?$'
passed=$((passed + $(printf '%s\n' "$out" | grep -c '^ok$')))
failed=$((failed + $(printf '%s\n' "$out" | grep -c '^not ok')))

echo "$passed passed, $failed failed"
[ $failed = 0 ]
