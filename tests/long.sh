#!/usr/bin/env bash
# The runs that only `make test-long` makes: each fuzzer for two minutes.
set -u
cd "$(dirname "$0")/.." || exit 1
if ! make --no-print-directory -s -j2 BUILD="${BUILD:-build}" CC="${CC:-cc}" fuzz-build; then
    echo "0 passed, 1 failed"
    exit 1
fi
bash tests/fuzz.sh run 120
