#!/usr/bin/env bash
# `make install` into a temporary folder, and use of what is there: the command finds the plugin, a
# C and a C++ program and the files to copy compile with what pkg-config says, the man page is there.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "not ok $*"; }
skip() { skipped=$((skipped + 1)); echo "skip $*"; }
# try WHAT COMMAND...: the command ends with 0.
try() {
    local what=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then ok; else bad "$what: $(head -n 5 "$tmp/log")"; fi
}
finish() {
    local line="$passed passed, $failed failed"
    [ $skipped = 0 ] || line="$line, $skipped skipped"
    echo "$line"
    [ $failed = 0 ]
    exit
}

prefix=/opt/nobody root=$tmp/stage$prefix
if ! make --no-print-directory -s -j2 BUILD="$build" DESTDIR="$tmp/stage" PREFIX=$prefix install \
    >"$tmp/log" 2>&1; then
    tail -n 5 "$tmp/log"
    bad "make install"
    finish
fi

for file in bin/sluice bin/sluice-conform lib/sluice/libsluice_cpu.so include/sluice/plugin.h \
    include/sluice/comm_mpi.h include/sluice/abi/ext/route.h share/sluice/host/sluice_host.c \
    share/sluice/host/sluice_host.h share/sluice/host/comm_threads.c \
    share/sluice/host/comm_threads.h share/man/man1/sluice.1 lib/pkgconfig/sluice.pc; do
    try "$file" test -f "$root/$file"
done
if [ -f "$build/libsluice_cuda.so" ]; then
    try lib/sluice/libsluice_cuda.so test -f "$root/lib/sluice/libsluice_cuda.so"
    try "info of it, by name" sh -c "LD_LIBRARY_PATH= \"$root/bin/sluice\" info cuda | grep -q libsluice_cuda"
else
    skip "libsluice_cuda.so was not built"
fi
if [ -f "$build/libsluice_mpi.so" ]; then
    try lib/libsluice_mpi.so test -f "$root/lib/libsluice_mpi.so"
else
    skip "libsluice_mpi.so was not built: there is no mpicc"
fi

# From another folder, by its path, through a link and by PATH alone.
unset SLUICE_PLUGIN SLUICE_PLUGIN_PATH
plugin=$(readlink -f "$root/lib/sluice/libsluice_cpu.so")
ln -s "$root/bin/sluice" "$tmp/linked"
for how in "$root/bin/sluice" "$tmp/linked" "env PATH=$root/bin:$PATH sluice"; do
    # shellcheck disable=SC2086
    out=$(cd / && $how info 2>&1)
    if [ "$(readlink -f "$(head -n 1 <<<"$out")")" = "$plugin" ]; then ok; else bad "$how info: $out"; fi
done
try "the installed sluice-conform" "$root/bin/sluice-conform" --list "$root/lib/sluice/libsluice_cpu.so"

cat >"$tmp/engine" <<'END'
#include <plugin.h>
#include <abi/ext/balance.h>
#include <abi/ext/route.h>
#include <stdio.h>
#include "sluice_host.h"
#include "comm_threads.h"

int main(int argc, char **argv)
{
    sluice_plugin plugin;
    sluice_comm comm;
    char line[SLUICE_HOST_LINE];
    sluice_comm_threads *group = sluice_comm_threads_create(1, NULL);
    sluice_status status = sluice_host_load(argc > 1 ? argv[1] : NULL, &plugin, line, sizeof line);
    if (!group || status != SLUICE_OK)
        return printf("%s\n", line), 1;
    sluice_comm_threads_get(group, 0, &comm);
    sluice_comm_threads_destroy(group);
    return sluice_host_extension(plugin.api, SLUICE_EXT_ROUTE) ? 0 : 1;
}
END

if ! command -v pkg-config >/dev/null; then
    skip "compiling by pkg-config: pkg-config is not there"
    finish
fi
export PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$tmp/stage
try "pkg-config's version" test "$(pkg-config --modversion sluice)" = \
    "$(sed -n 's/^#define SLUICE_VERSION "\(.*\)"/\1/p' plugin.h)"
flags=$(pkg-config --cflags sluice)
# Some versions put the root before a variable, some do not.
variable() { echo "$tmp/stage$(pkg-config --variable="$1" sluice | sed "s|^$tmp/stage||")"; }
try "plugindir" test -f "$(variable plugindir)/libsluice_cpu.so"
mkdir "$tmp/copy"
try "hostdir" cp "$(variable hostdir)"/sluice_host.c "$(variable hostdir)"/sluice_host.h \
    "$(variable hostdir)"/comm_threads.c "$(variable hostdir)"/comm_threads.h "$tmp/copy/"
warn="-Wall -Wextra -Werror"
# shellcheck disable=SC2086
engine() { # COMPILER LANGUAGE
    $1 -x "$2" $warn $flags -I"$tmp/copy" -c -o "$tmp/engine.o" "$tmp/engine.$2" &&
        $1 -o "$tmp/engine-$2" "$tmp/engine.o" "$tmp/sluice_host.o" "$tmp/comm_threads.o" -ldl -pthread
}
for pair in gcc:c g++:c++; do
    compiler=${pair%:*} language=${pair#*:}
    if ! command -v "$compiler" >/dev/null; then
        skip "$compiler is not there"
        continue
    fi
    cp "$tmp/engine" "$tmp/engine.$language"
    if [ "$language" = c ]; then
        for file in sluice_host comm_threads; do
            # shellcheck disable=SC2086
            try "$file.c, copied" gcc -std=c11 -D_POSIX_C_SOURCE=200809L $warn $flags -c \
                -o "$tmp/$file.o" "$tmp/copy/$file.c"
        done
    fi
    try "an engine by $compiler" engine "$compiler" "$language"
    try "that engine, run" "$tmp/engine-$language" "$root/lib/sluice/libsluice_cpu.so"
done
if command -v mpicc >/dev/null && [ -f "$root/lib/libsluice_mpi.so" ]; then
    cat >"$tmp/ranks.c" <<'END'
#include <comm_mpi.h>
int main(int argc, char **argv)
{
    sluice_comm_mpi *world = 0;
    if (argc > 1 && MPI_Init(&argc, &argv) == MPI_SUCCESS)
        world = sluice_comm_mpi_create(MPI_COMM_WORLD, 0);
    return world != 0;
}
END
    # shellcheck disable=SC2086
    try "ranks by mpicc" mpicc $warn $flags -o "$tmp/ranks" "$tmp/ranks.c" -L"$root/lib" -lsluice_mpi
    try "those ranks, loaded" env LD_LIBRARY_PATH="$root/lib" "$tmp/ranks"
else
    skip "ranks over MPI: mpicc or the library is not there"
fi
finish
