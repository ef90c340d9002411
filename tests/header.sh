#!/usr/bin/env bash
# plugin.h and each abi/ext/*.h compile alone, without a warning, in every C and C++ that a host
# may use. `quick`: one C, one C++, the default compiler.
set -u
cd "$(dirname "$0")/.." || exit 1
quick=${1:-}

warn="-pedantic-errors -Wall -Wextra -Werror -Wshadow -Wconversion -Wundef"
c="c99 c11 c17 c2x gnu11"
cxx="c++11 c++14 c++17 c++20 c++2b"
compilers="gcc clang"
if [ "$quick" = quick ]; then
    c=c99 cxx=c++17 compilers=gcc
fi

one() {
    local compiler=$1 std=$2 header=$3 lang=c
    case $std in c++*) lang=c++ ;; esac
    # Included twice: a header guards itself. The declaration: a file of macros alone is no C.
    if printf '#include "%s"\n#include "%s"\ntypedef int only_the_header;\n' "$header" "$header" |
        $compiler -x $lang -std="$std" $warn -fsyntax-only -I. -; then
        echo ok
    else
        echo "not ok: $compiler -std=$std $header"
    fi
}
export -f one
export warn

headers=$(ls plugin.h abi/ext/*.h 2>/dev/null)
if [ -z "$headers" ]; then
    echo "no public header is there"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
missing=0
out=$(for compiler in $compilers; do
    command -v "$compiler" >/dev/null || continue
    for std in $c $cxx; do
        for header in $headers; do
            echo "$compiler $std $header"
        done
    done
done | xargs -P 2 -L 1 bash -c 'one "$@"' _ 2>&1)
for compiler in $compilers; do
    command -v "$compiler" >/dev/null || { echo "$compiler is not there"; missing=$((missing + 1)); }
done
printf '%s\n' "$out" | grep -v '^ok$'
passed=$(printf '%s\n' "$out" | grep -c '^ok$')
failed=$(printf '%s\n' "$out" | grep -c '^not ok')
if [ $missing -gt 0 ]; then
    echo "$passed passed, $failed failed, $missing skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" = 0 ]
