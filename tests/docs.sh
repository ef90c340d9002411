#!/bin/sh
# Is what the documents point at there? Links, make targets, subcommands, the man page's form.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
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

# The C of README.md, put together in its order, runs on one rank without an error.
cat >"$tmp/page.awk" <<'END'
function close_it() { if (on) print ""; on = 0 }
/^    / && !indented { on = $0 ~ /^    (#include|sluice_|void \*so|config\.)/ }
/^    / { indented = 1; if (on && $1 != "#include") print substr($0, 5); next }
{ indented = 0; close_it() }
END
{
    cat <<'END'
#include <dlfcn.h>
#include <stdio.h>
#include "abi/ext/balance.h"
#include "src/comm/comm_threads.h"

static sluice_tensor tensor(void *data, uint8_t code, int32_t dimensions, int64_t *shape)
{
    return (sluice_tensor){
        .data = data, .device = {SLUICE_CPU, 0}, .ndim = dimensions, .dtype = {code, 32, 1}, .shape = shape};
}

int main(void)
{
    static float values[4 * 256], chosen[4 * 8];
    static int32_t numbers[4 * 8];
    char text[512] = "";
    int64_t wide[] = {4, 256}, narrow[] = {4, 8};
    int32_t local_rank = 0;
    sluice_context *context = NULL;
    sluice_comm comm;
    sluice_comm_threads_get(sluice_comm_threads_create(1, NULL), 0, &comm);
    sluice_tensor logits = tensor(values, SLUICE_FLOAT, 2, wide), bias = tensor(values, SLUICE_FLOAT, 1, wide + 1);
    sluice_tensor ids = tensor(numbers, SLUICE_INT, 2, narrow), weights = tensor(chosen, SLUICE_FLOAT, 2, narrow);
END
    awk -f "$tmp/page.awk" README.md
    cat <<'END'
    puts(text);
    puts(context && api->last_error(context, text, sizeof text) ? text : "");
    return !context || text[0];
}
END
} >"$tmp/page.c"
if ! "${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Werror -I. -o "$tmp/page" "$tmp/page.c" \
    src/comm/comm_threads.c -ldl -pthread >"$tmp/out" 2>&1; then
    bad "the C of README.md: $(head -n 5 "$tmp/out")"
elif [ "$(grep -c 'api->open\|dlopen\|configure(\|config.device' "$tmp/page.c")" != 5 ]; then
    bad "README.md's C is not found: $(cat "$tmp/page.c")"
elif [ ! -f "$build/libsluice_cpu.so" ]; then
    skip "the C of README.md: $build/libsluice_cpu.so is not built"
elif LD_LIBRARY_PATH=$build "$tmp/page" >"$tmp/out"; then
    ok
else
    bad "the C of README.md says $(cat "$tmp/out")"
fi

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

# Every key that the JSON of a subcommand has is in the man page, under that subcommand.
cat >"$tmp/keys.py" <<'END'
import json, re, sys

NAMES = ("extensions", "operations")  # objects whose keys are names, not ours to describe


def keys(value):
    if isinstance(value, list):
        return set().union(*map(keys, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found = set(value)
    for key, part in value.items():
        found |= keys(list(part.values()) if key in NAMES else part)
    return found


page, command, output = sys.argv[1:]
section = re.search(r"^\.Sh JSON KEYS$(.*?)^\.Sh ", open(page).read(), re.M | re.S).group(1)
part = re.search(rf"^\.Ss {command}$(.*?)(^\.Ss |\Z)", section, re.M | re.S)
lines = re.findall(r"^\.(?:It )?Va (.*)$", part.group(1) if part else "", re.M)
missing = keys(json.load(open(output))) - set(" ".join(lines).split())
if missing:
    sys.exit("not in the man page: " + ", ".join(sorted(missing)))
END
json_keys() { # SUBCOMMAND ARGUMENTS
    if "$build/sluice" "$@" --json - >"$tmp/out.json" && python3 "$tmp/keys.py" packaging/sluice.1 "$1" "$tmp/out.json"; then
        ok
    else
        bad "the JSON keys of sluice $1"
    fi
}
if [ ! -x "$build/sluice" ]; then
    skip "JSON keys: $build/sluice is not built"
elif ! command -v python3 >/dev/null 2>&1; then
    skip "JSON keys: python3 is not there"
else
    json_keys info
    json_keys replay --model deepseek-v3 --layers 1 --tokens 8 --plan level --row-ps 1000
    json_keys bench --quick
    echo '{"logical_count": [[90, 10, 10, 10]]}' >"$tmp/counts.json"
    echo '{"physical_to_logical_map": [[0, 1, 2, 3, 2, 1]]}' >"$tmp/place.json"
    json_keys eval "$tmp/counts.json" --placement "$tmp/place.json" --ranks 2
    json_keys diagnose "$tmp/counts.json" --ranks 2
    json_keys plan "$tmp/counts.json" --ranks 2 --current "$tmp/place.json" -o "$tmp/next.json"
fi

if command -v mandoc >/dev/null 2>&1; then
    if mandoc -Tlint -W warning packaging/sluice.1; then ok; else bad "packaging/sluice.1"; fi
else
    skip "man page: mandoc is not installed"
fi

mutants=$(grep -c '^ *[a-z0-9_]* *|' abi/mutants/mutants.txt)
if grep -q "\b$mutants mutants" README.md; then ok; else bad "README.md does not say that there are $mutants mutants"; fi

cuda=$(make --no-print-directory -s cuda-mutants-list | wc -l)
few=$(sed -n '/set -- /,/[^\\]$/p' tests/cuda_mutants.sh | tr ' \\' '\n' | grep -cx '[a-z0-9]*_[a-z0-9_]*')
if tr '\n' ' ' <README.md | grep -q "($cuda of them on CUDA too.* runs $few of these"; then ok; else bad "README.md does not say that $cuda mutants run on CUDA, $few of them in make test"; fi

if grep -n '@[A-Z]*@' README.md; then bad "README.md has a place left open"; else ok; fi

line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" = 0 ]
