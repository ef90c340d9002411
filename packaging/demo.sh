#!/bin/sh
# What `make demo` shows: routing served by 8 ranks through the plugin, every output checked.
set -eu
cd "$(dirname "$0")/.."
sluice=${BUILD:-build}/sluice
data=${SLUICE_SHARED:-../shared}/data/deepseek-v2-lite-routing

echo "== DeepSeek-V3's shapes and router, made-up routing with real skew, shared expert as a slot"
"$sluice" replay --model deepseek-v3 --ranks 8 --redundant 32 --placement random
if [ -f "$data/law.ids.npy" ]; then
    echo
    echo "== DeepSeek-V2-Lite, recorded routing of all 26 layers, two shared experts as slots"
    "$sluice" replay "$data/law.ids.npy" --weights "$data/law.weights.npy" \
        --model deepseek-v2-lite --layers 26 --ranks 8
fi
