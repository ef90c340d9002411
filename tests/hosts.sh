#!/usr/bin/env bash
# Builds the engines of abi/hosts and runs each against the plugin: one check an engine, that prints
# its own verdict.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
plugin=$build/libsluice_cpu.so
passed=0 failed=0 skipped=0

# run NAME COMMAND...: with the plugin as its last argument
run() {
    local name=$1 rc
    shift
    timeout -k 5 90 "$@" "$plugin"
    rc=$?
    if [ $rc = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok: $name ended with $rc"
    fi
}

if ! make --no-print-directory -s -j2 BUILD="$build" CC="${CC:-cc}" CXX="${CXX:-c++}" hosts; then
    echo "0 passed, 1 failed"
    exit 1
fi
case $plugin in /*) ;; *) plugin=./$plugin ;; esac
for source in abi/hosts/host_*.c abi/hosts/host_*.cc; do
    name=$(basename "${source%.*}")
    case $name in host_kit | host_mesh) continue ;; esac
    run "$name" "$build/hosts/$name"
done
# What the hosts do where the plugin has graphs, and what the suite asks of them.
graphs=$(dirname "$plugin")/plugins/fake_graphs.so
make --no-print-directory -s BUILD="$build" CC="${CC:-cc}" "$build/plugins/fake_graphs.so" \
    "$build/sluice-conform"
if command -v python3 >/dev/null; then
    run host_python python3 abi/hosts/host_python.py
    plugin=$graphs run 'host_python with graphs' python3 abi/hosts/host_python.py
else
    echo "host_python: python3 is not there"
    skipped=1
fi
# Three ranks hold 16 experts, so some have a second copy.
if python3 -c 'import torch.distributed' 2>/dev/null; then
    OMP_NUM_THREADS=1 run host_torch python3 -m torch.distributed.run --standalone --nproc-per-node 3 \
        abi/hosts/host_torch.py
else
    echo "host_torch: python3 has no torch"
    skipped=$((skipped + 1))
fi
plugin=$graphs run device.capture "$build/sluice-conform" --only device.capture

line="$passed passed, $failed failed"
[ $skipped = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ $failed = 0 ]
