#!/usr/bin/env bash
# The CUDA backend on this machine's GPU: what tests/cuda.sh runs on the stand-in, with the driver
# that is installed. Where there is no GPU it builds what it would run, says so, and ends. ROWS and
# SCENES: of the comparisons. More ranks than GPUs are not run, as NCCL wants one for each.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
lib=$build/libsluice_cuda.so
passed=0 failed=0 skipped=0
unset MAKEFLAGS MAKELEVEL MFLAGS STANDIN_SM STANDIN_LOG STANDIN_TRACE
make="make --no-print-directory -s BUILD=$build"

# part NAME SECONDS COMMAND: a line of the table from its closing line.
part() {
    local name=$1 seconds=$2 line log=$build/log/gpu-$1.log p=0 f=1 s=0 begin=$SECONDS
    shift 2
    timeout -k 10 "$seconds" "$@" >"$log" 2>&1
    [ $? != 124 ] || echo "not ok: $name was not done after $seconds s" >>"$log"
    line=$(tail -n 1 "$log")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
    elif [[ $line == OK:* ]]; then
        p=1 f=0
    elif [[ $line == *'does not do that'* ]]; then
        f=0 s=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-12s %5d passed %4d failed %4d skipped %5d s\n' "$name" "$p" "$f" "$s" $((SECONDS - begin))
    [ "$f" = 0 ] || { grep -E '^(FAIL|not ok)' "$log" || tail -n 5 "$log"; }
}

$make cuda || exit 1
programs="cuda_differs balance_differs cuda_moves balance_solves water_places"
# shellcheck disable=SC2086  # a list
$make -j2 lib tool "$build/sluice-conform" $(printf "$build/%s " $programs) || exit 1
mkdir -p "$build/log"
if [ ! -f "$lib" ]; then
    echo "NO GPU TEST: $lib is not built: there is no nvcc (make cuda-wheels)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

# The stand-in must not be what answers.
case ":${LD_LIBRARY_PATH:-}:" in
*standin* | *hostgpu*)
    echo "LD_LIBRARY_PATH is $LD_LIBRARY_PATH: a stand-in would take the driver's place"
    echo "0 passed, 1 failed"
    exit 1
    ;;
esac
said=$("$build/sluice" info "$lib" | tail -n 1)
case $said in
can\ run*) ;;
*)
    echo "NO GPU HERE, NOTHING WAS RUN: $said"
    echo "Built, and run where there is one: sluice-conform, sluice replay, $programs"
    echo "What runs without one: bash tests/cuda.sh (the same library, on the stand-in)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
    ;;
esac
echo "$said"
command -v nvidia-smi >/dev/null &&
    nvidia-smi --query-gpu=index,name,driver_version,compute_cap,memory.total --format=csv,noheader
# Each case is a process that makes its GPUs' contexts and NCCL's communicators anew, which takes
# seconds: 20 for a whole case, the default, are meant for a CPU.
part conform 3600 "$build/sluice-conform" --timeout 100 "$lib"
part differs 1800 "$build/cuda_differs" "$build/libsluice_cpu.so" "$lib" "${ROWS:-1000000}"
part balance 1800 "$build/balance_differs" "$build/libsluice_cpu.so" "$lib" "${SCENES:-1000}"
part moves 1800 "$build/cuda_moves" "$build/libsluice_cpu.so" "$lib" "${SCENES:-1000}"
part solves 600 "$build/balance_solves" 1000
part places 600 "$build/water_places" 1000
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
part replay 1800 "$build/sluice" replay --plugin "$lib" --model deepseek-v3 --layers 4 \
    --ranks $((gpus > 8 ? 8 : gpus > 0 ? gpus : 1))
if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed = 0 ]
