#!/bin/sh
# Is what the documents point at there? Links, make targets, subcommands, the man page's form.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "not ok $*"; }
skip() { skipped=$((skipped + 1)); echo "skip $*"; }

for page in README.md abi/*.md; do
    folder=$(dirname "$page")
    missing=
    for link in $(grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | grep -v '^http'); do
        [ -e "$folder/$link" ] || missing="$missing $link"
    done
    if [ -z "$missing" ]; then ok; else bad "$page links to what is not there:$missing"; fi
done

for target in $(grep -o 'make [a-z][a-z-]*' README.md | awk '{print $2}' | sort -u); do
    if grep -q "^$target\b.*:" Makefile mk/*.mk; then ok; else bad "README.md names make $target"; fi
done

if [ -x "$build/sluice" ]; then
    for sub in info replay bench diagnose eval plan; do
        if "$build/sluice" help "$sub" >/dev/null 2>&1 && grep -q "^\.\(Ss\|Sh\|It\|SS\|SH\).*$sub" packaging/sluice.1; then
            ok
        else
            bad "sluice $sub is not both in the command and in the man page"
        fi
    done
else
    skip "subcommands: $build/sluice is not built"
fi

if command -v mandoc >/dev/null 2>&1; then
    if mandoc -Tlint -W warning packaging/sluice.1; then ok; else bad "packaging/sluice.1"; fi
else
    skip "man page: mandoc is not installed"
fi

if grep -n '@[A-Z]*@' README.md; then bad "README.md has a place left open"; else ok; fi

line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" = 0 ]
