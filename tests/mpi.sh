#!/usr/bin/env bash
# The communicator over MPI: four processes, whole and with ranks that are killed.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
unset MAKEFLAGS MAKELEVEL MFLAGS

if ! command -v mpicc >/dev/null || ! command -v mpiexec >/dev/null; then
    echo "mpicc or mpiexec is not there"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
if ! make --no-print-directory -s -j2 BUILD="$build" CC="${CC:-cc}" mpi-test; then
    echo "0 passed, 1 failed"
    exit 1
fi
case $build in /*) ;; *) build=./$build ;; esac

passed=0 failed=0 skipped=0
exports=$(nm -D --defined-only "$build/libsluice_mpi.so" | awk '{ print $3 }' | xargs)
if [ "$exports" = "sluice_comm_mpi_create sluice_comm_mpi_destroy sluice_comm_mpi_get" ]; then
    passed=1
else
    failed=1
    echo "not ok: libsluice_mpi.so exports $exports"
fi

# run PART [OPTIONS OF mpiexec]: adds the counts of one run of mpi_test.
run() {
    local part=$1 out line rc
    shift
    out=$(timeout -k 5 200 mpiexec "$@" -n 4 "$build/mpi_test" "$build/libsluice_cpu.so" "$part" 2>&1)
    rc=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' <<<"$out" | tail -n 1)
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        [ "${BASH_REMATCH[2]}" != 0 ] || [ $rc = 0 ] || line=
    fi
    if [ -z "$line" ]; then
        failed=$((failed + 1))
        echo "not ok: mpi_test $part ended with $rc"
    fi
    [ $rc = 0 ] && [[ $line == *' 0 failed' ]] || printf '%s\n' "$out" | tail -n 40
}

run bytes
run layer
if mpiexec --version 2>/dev/null | grep -qE 'OpenRTE|Open MPI'; then
    # Without it a killed rank takes the others with it.
    run death --enable-recovery
    # Another transport, where long messages move only while both ends call MPI.
    run bytes --mca btl self,tcp
    run death --enable-recovery --mca btl self,tcp
else
    echo "mpiexec is not Open MPI's: no rank is killed"
    skipped=1
fi

line="$passed passed, $failed failed"
[ $skipped = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ $failed = 0 ]
