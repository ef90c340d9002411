#!/bin/sh
# Installs below $DESTDIR$PREFIX what `make` built in $BUILD. Called by `make install`.
set -eu
cd "$(dirname "$0")/.."
root=$DESTDIR$PREFIX

# put MODE FOLDER FILE...: files that are not there are left out.
put() {
    mode=$1 folder=$root/$2
    shift 2
    for file in "$@"; do
        [ -f "$file" ] || continue
        install -d "$folder"
        install -m "$mode" "$file" "$folder/"
        echo "$folder/$(basename "$file")"
    done
}

put 755 bin "$BUILD/sluice" "$BUILD/sluice-conform"
put 644 lib/sluice "$BUILD/libsluice_cpu.so" "$BUILD/libsluice_cuda.so"
# An engine links it: it is no plugin.
put 644 lib "$BUILD/libsluice_mpi.so"
put 644 include/sluice plugin.h src/comm/comm_mpi.h
put 644 include/sluice/abi/ext abi/ext/*.h
# Sources that an engine copies: the loader, and ranks as threads.
put 644 share/sluice/host src/host/*.c src/host/*.h src/comm/comm_threads.c src/comm/comm_threads.h
put 644 share/man/man1 packaging/*.1
install -d "$root/lib/pkgconfig"
sed -e "s|@PREFIX@|$PREFIX|" -e "s|@VERSION@|$VERSION|" packaging/sluice.pc.in \
    >"$root/lib/pkgconfig/sluice.pc"
echo "$root/lib/pkgconfig/sluice.pc"
