#!/bin/sh
# What `make demo` shows: a model's routing replayed through the plugin on 8 ranks.
set -eu
cd "$(dirname "$0")/.."
sluice=${BUILD:-build}/sluice
if [ ! -x "$sluice" ]; then
    echo "$sluice is not built"
    exit 1
fi
"$sluice" replay --model deepseek-v3 --ranks 8
recorded=../shared/data/deepseek-v2-lite-routing/law.ids.npy
if [ -f "$recorded" ]; then
    "$sluice" replay --model deepseek-v2-lite --ranks 8 "$recorded"
fi
