#!/usr/bin/env bash
# Compares the ABI with abi/baseline: the plugin, the public structs and extension tables, and the
# constants. `renew` writes the baseline instead.
#
# A dump of the plugin holds only what sluice_plugin_get reaches, which no extension table is; so a
# probe object with one function for each public struct is dumped beside it. A plugin without debug
# information compares as equal to anything, so that is looked at first.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
lib=$build/libsluice_cpu.so
base=abi/baseline
work=$build/abi
mkdir -p "$work"

passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "not ok: $*"
}
done_() {
    if [ $skipped -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ $failed = 0 ]
    exit
}

# dump SO OUT [OPTIONS]
dump() { abidw --no-corpus-path --no-comp-dir-path --no-show-locs --out-file "$2" "${@:3}" "$1"; }

# Prints the names of the public structs of the headers below FOLDER.
structs() { sed -n 's/^typedef struct \(sluice_[a-z0-9_]*\) {.*/\1/p' "$1"/plugin.h "$1"/abi/ext/*.h; }

# probe FOLDER OUT: an object with a typed function for each public struct of these headers.
probe() {
    {
        for header in "$1"/plugin.h "$1"/abi/ext/*.h; do
            echo "#include \"${header#"$1"/}\""
        done
        structs "$1" | while read -r name; do
            echo "$name *probe_$name(void);"
            echo "$name *probe_$name(void) { return 0; }"
        done
    } >"$2.c"
    gcc -std=c11 -I"$1" -O0 -g -fPIC -shared -fno-eliminate-unused-debug-types -o "$2" "$2.c"
}

# constants FOLDER PROBE: every enumerator and every SLUICE_ macro, by name.
constants() {
    readelf --debug-dump=info "$2" | awk '
        /DW_TAG_/ { inside = /DW_TAG_enumerator/ }
        inside && /DW_AT_name/ { name = $NF }
        inside && /DW_AT_const_value/ { print name, $NF }'
    for header in "$1"/plugin.h "$1"/abi/ext/*.h; do echo "#include \"${header#"$1"/}\""; done |
        gcc -std=c11 -I"$1" -dM -E -x c - | sed -n 's/^#define \(SLUICE_[^ ]*\)/\1/p'
}

if [ ! -f plugin.h ]; then
    echo "plugin.h is not there"
    skipped=1
    done_
fi
probe . "$work/probe.so" || { bad "the probe does not compile"; done_; }
dump "$work/probe.so" "$work/extensions.abi" && ok || bad "abidw on the probe"
# The version text changes with every release; its parts are what the ABI promises.
constants . "$work/probe.so" | grep -v '^SLUICE_VERSION ' | LC_ALL=C sort >"$work/constants.txt"

for name in $(structs .); do
    grep -q "class-decl name='$name'" "$work/extensions.abi" && ok ||
        bad "struct $name is not in the probe's dump"
done

if [ -f "$lib" ]; then
    readelf -SW "$lib" | grep -q ' \.debug_info' && ok || bad "$lib has no debug information"
    # What stands in plugin.h: what a context is inside is nobody's business.
    dump "$lib" "$work/libsluice_cpu.abi" --header-file plugin.h --drop-private-types && ok || bad "abidw on $lib"
    grep -q "class-decl name='sluice_api'" "$work/libsluice_cpu.abi" && ok ||
        bad "the dump of $lib does not reach sluice_api"
else
    echo "$lib is not built"
    skipped=$((skipped + 1))
fi

if [ "${1:-}" = renew ]; then
    mkdir -p $base
    for file in extensions.abi libsluice_cpu.abi constants.txt; do
        [ -f "$work/$file" ] && cp "$work/$file" $base/ && echo "wrote $base/$file"
    done
    done_
fi

for dump in extensions libsluice_cpu; do
    [ -f "$work/$dump.abi" ] || continue
    if [ ! -f $base/$dump.abi ]; then
        bad "$base/$dump.abi is missing: make abi-baseline"
    elif abidiff --harmless $base/$dump.abi "$work/$dump.abi"; then
        ok
    else
        bad "$dump differs from its baseline; if that is meant: make abi-baseline, and say so in the changelog"
    fi
done
diff $base/constants.txt "$work/constants.txt" && ok || bad "constants differ from the baseline"

# The check itself: a member put into the middle of a table must be seen, in each header.
for header in plugin.h abi/ext/*.h; do
    copy=$work/changed
    rm -rf "$copy"
    mkdir -p "$copy/abi"
    cp plugin.h "$copy/"
    cp -r abi/ext "$copy/abi/"
    table=$(grep -n '^typedef struct sluice_[a-z0-9_]* {' "$header" | tail -n 1 | cut -d: -f1)
    first=$(awk -v after="$table" 'NR > after && /;/ { print NR; exit }' "$header")
    sed -i "${first}a\\    void *inserted_by_the_test;" "$copy/$header"
    probe "$copy" "$work/changed.so" && dump "$work/changed.so" "$work/changed.abi" || {
        bad "$header with a member inserted does not compile"
        continue
    }
    if abidiff "$work/extensions.abi" "$work/changed.abi" >/dev/null; then
        bad "a member inserted in $header is not seen"
    else
        ok
    fi
done
done_
