#!/bin/sh
# The sluice command on good and bad input: exit status, one line on stderr, what it prints.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
sluice=$build/sluice
data=${SLUICE_SHARED:-../shared}/data
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "not ok $*"; }
skip() { skipped=$((skipped + 1)); echo "skip $*"; }

# good PART ARGUMENTS: exit 0, nothing on stderr, PART in the output.
good() {
    part=$1
    shift
    if "$sluice" "$@" >"$tmp/out" 2>"$tmp/err" && [ ! -s "$tmp/err" ] && grep -q -- "$part" "$tmp/out"; then
        ok
    else
        bad "sluice $*: $(tail -n 3 "$tmp/out" "$tmp/err")"
    fi
}

# refused PART ARGUMENTS: exit 2, one line on stderr with PART, nothing on stdout.
refused() {
    part=$1
    shift
    timeout 20 "$sluice" "$@" >"$tmp/out" 2>"$tmp/err"
    rc=$?
    if [ $rc = 2 ] && [ "$(wc -l <"$tmp/err")" = 1 ] && [ ! -s "$tmp/out" ] && grep -q -- "$part" "$tmp/err"; then
        ok
    else
        bad "sluice $* (exit $rc): $(cat "$tmp/err")"
    fi
}

good "usage" help
good "ABI 1" --version
good "can run here" info
good '"can_run": true' info --json -
for sub in info replay bench diagnose eval plan; do good "sluice $sub" help "$sub"; done
for ranks in 1 2 3 5 8; do
    good "^OK: " replay --model deepseek-v3 --ranks $ranks --layers 2 --tokens 16
done
for model in deepseek-v2-lite qwen3-235b qwen3-next mixtral-8x7b gpt-oss-120b kimi-k2 glm-4.5 \
    llama4-maverick longcat-flash deepseek-v4; do
    good "^OK: " replay --model $model --layers 2 --tokens 8 --dtype bf16
done
for shared in none waterfill-static waterfill-dynamic; do
    good "^OK: " replay --model deepseek-v3 --layers 1 --shared $shared --tokens 80
done
good "^OK: " replay --model deepseek-v3 --layers 2 --dispatch fixed --combine per-rank --copy random \
    --redundant 32 --placement random --route fused
# Step balance in every mode, and a plan in the midst of it, change which rank computes, not what.
for mode in local stale now; do
    good "^OK: .*bit-equal" replay --model deepseek-v3 --layers 2 --redundant 32 --tokens 16 --steps 4 \
        --balance $mode --shared level --plan level
    good "^OK: .*bit-equal" replay --model qwen3-235b --layers 2 --redundant 16 --tokens 8 --balance $mode \
        --objective experts --dispatch fixed --plan eplb
done
good "shared slots counted 0" replay --model deepseek-v3 --layers 1 --balance now --shared level
good "^planned half-way (level): [1-9]" replay --model deepseek-v3 --layers 4 --redundant 32 --steps 8 \
    --balance now --shared level --plan level --experts count --tokens 256
good "^OK: every choice" replay --model deepseek-v3 --experts count --balance stale --copy random --shared level
refused "shared level needs --balance" replay --model deepseek-v3 --shared level
refused "copy balanced needs --balance" replay --model deepseek-v3 --copy balanced
refused "objective needs --balance" replay --model deepseek-v3 --objective experts
# Which of the other two takes less time changes with the tokens; COST is never behind.
timed() { # OBJECTIVE TOKENS: the slowest rank's time for a layer
    "$sluice" replay --model deepseek-v3 --layers 4 --redundant 128 --placement random --experts count \
        --tokens "$2" --steps 6 --balance now --shared level --objective "$1" --expert-ns 6000 --row-ps 400000 \
        --move-ps 50000 | sed -n 's/^by the costs given, the slowest rank takes \([0-9.]*\) us for a layer$/\1/p'
}
for tokens in 4 64; do
    if echo "$tokens $(timed tokens $tokens) $(timed experts $tokens) $(timed cost $tokens)" |
        awk '{ fits = NF == 4 && ($1 == 4 ? $3 < $2 : $2 < $3) && $4 <= $2 && $4 <= $3 } END { exit !fits }'; then
        ok
    else
        bad "replay --objective cost with $tokens tokens: $(timed tokens $tokens) $(timed experts $tokens) $(timed cost $tokens)"
    fi
done
good '"us": 0.31' replay --model mixtral-8x7b --layers 1 --balance now --objective cost --row-ps 1000 --json -
refused "cost needs --expert-ns, --row-ps or" replay --model deepseek-v3 --balance now --objective cost
refused "balance needs --copy balanced or" replay --model deepseek-v3 --balance now --copy random
refused "plan needs --steps 2" replay --model deepseek-v3 --steps 1 --plan level
refused "experts count needs --dispatch exact" replay --model deepseek-v3 --experts count --dispatch fixed
refused "positions go with a file" replay --model deepseek-v3 --positions random
good '"ok": true' replay --model mixtral-8x7b --layers 1 --json -
good "^OK: " replay --model mixtral-8x7b --layers 3 --plot "$tmp/load.svg" --threads 2
if grep -q "</svg>" "$tmp/load.svg"; then ok; else bad "replay --plot"; fi
if [ -f "$data/deepseek-v2-lite-routing/law.ids.npy" ]; then
    good "^OK: " replay "$data/deepseek-v2-lite-routing/law.ids.npy" --layers 3 \
        --weights "$data/deepseek-v2-lite-routing/law.weights.npy" --model deepseek-v2-lite
    good "^OK: " replay "$data/deepseek-r1-expert-counts/prefill_in4096.json" --layers 2 \
        --shared-experts 1 --ranks 4
    # The design's figures on tokens at random positions: EPLB for intent, law served, 16 draws.
    good "^greatest" plan "$data/deepseek-v2-lite-routing/intent.ids.npy" --ranks 8 --redundant 8 \
        --policy eplb --top-k 6 -o "$tmp/intent.json"
    drawn() { # WANTED MARGIN WHICH ARGUMENTS: "mean" or "experts" is WANTED within MARGIN
        wanted=$1 margin=$2 which=$3
        shift 3
        "$sluice" replay "$data/deepseek-v2-lite-routing/law.ids.npy" --model deepseek-v2-lite --layers 26 \
            --redundant 8 --placement "$tmp/intent.json" --shared-experts 1 --experts count \
            --positions random "$@" >"$tmp/out" 2>&1
        case $which in
        mean) got=$(sed -n 's/^in each step: mean \([0-9.]*\),.*/\1/p' "$tmp/out") ;;
        *) got=$(sed -n 's/^in each step:.* on a rank \([0-9.]*\)$/\1/p' "$tmp/out") ;;
        esac
        if [ -n "$got" ] && awk "BEGIN { exit !($got - $wanted <= $margin && $wanted - $got <= $margin) }"; then
            ok
        else
            bad "$which is $got, wanted $wanted +- $margin: $*"
        fi
    }
    many="--tokens 512 --steps 16"
    drawn 1.263 0.015 mean $many --copy random
    drawn 1.128 0.015 mean $many --copy random --shared waterfill-dynamic
    drawn 1.194 0.015 mean $many --balance now
    drawn 1.071 0.015 mean $many --balance now --shared level
    now=$got
    drawn "$now" 0.03 mean $many --balance stale --shared level
    drawn 1.078 0.015 mean --tokens 64 --steps 16 --balance now --shared level
    now=$got
    drawn "$now" 0.06 mean --tokens 64 --steps 16 --balance stale --shared level
    # Over 1000 draws 8.85 and 8.01, the latter below the 8.08 of the design's few.
    drawn 8.85 0.05 experts --tokens 4 --steps 128 --copy random --shared none
    drawn 8.01 0.06 experts --tokens 4 --steps 128 --balance now --objective experts --shared none
    # A plan from the first half of law, served the second, which it has not seen.
    good "after$" replay "$data/deepseek-v2-lite-routing/law.ids.npy" --model deepseek-v2-lite --layers 26 \
        --redundant 8 --placement "$tmp/intent.json" --shared-experts 1 --experts count --positions random \
        $many --balance now --shared level --plan level
    if sed -n 's/^planned.* before, \([0-9.]*\), \([0-9.]*\) after$/\1 \2/p' "$tmp/out" |
        awk '{ fits = $1 <= 1.004 && $2 <= 1.023 } END { exit !fits }'; then ok; else bad "$(tail -n 5 "$tmp/out")"; fi
    refused "--weights" replay "$data/deepseek-v2-lite-routing/law.ids.npy"
    head -c 5000 "$data/deepseek-v2-lite-routing/law.ids.npy" >"$tmp/short.npy"
    refused "short.npy" replay "$tmp/short.npy" --weights "$tmp/short.npy"
    refused "has not the shape" replay "$data/deepseek-v2-lite-routing/law.ids.npy" \
        --weights "$data/deepseek-v2-lite-routing/intent.weights.npy"
    refused "experts" replay "$data/deepseek-r1-expert-counts/prefill_in4096.json" --model mixtral-8x7b
else
    skip "replay of recorded routing: $data is not there"
fi
refused "top-k is 4: deepseek-v3 has 8" replay --model deepseek-v3 --top-k 4
echo '{"logical_count": [[3, 1, 2, 4]]}' >"$tmp/few.json"
good "^OK: " replay "$tmp/few.json" --top-k 2
refused "few.json has no ids" replay "$tmp/few.json" --top-k 2 --weights "$tmp/few.json"
refused "weights go with a file of ids" replay --model deepseek-v3 --weights "$tmp/few.json"
refused "hidden is 255: must be 256 to 8192" replay --model mixtral-8x7b --hidden 255
good "^OK: " replay --model mixtral-8x7b --layers 1 --hidden 257 --dtype bf16
# Two layers of four experts, the second without tokens; a placement with expert 0 twice.
echo '{"logical_count": [[90, 10, 10, 10], [0, 0, 0, 0]]}' >"$tmp/counts.json"
echo '{"logical_count": [[[9, 1, 1, 1]], [[1, 9, 1, 1]]]}' >"$tmp/steps.json"
echo '{"logical_count": [[0, 0, 0, 0], [0, 0, 0, 0]]}' >"$tmp/none.json"
echo '{"logical_count": [[1, 2, 3, 4]]}' >"$tmp/shallow.json"
echo '{"physical_to_logical_map": [[0, 1, 2, 0, 3, -1], [0, 1, 2, 0, 3, -1]]}' >"$tmp/place.json"
# Expert 0 twice on one rank: nothing can share its load out.
echo '{"physical_to_logical_map": [[0, 0, 1, 2, 3, 1], [0, 1, 2, 0, 3, 1]]}' >"$tmp/bad.json"
good "^mean .*1.0833" eval "$tmp/counts.json" --placement "$tmp/place.json" --ranks 2
good "1 of 2 layers saw no token" eval "$tmp/counts.json" --placement "$tmp/place.json" --ranks 3 \
    --plot "$tmp/eval.svg" --shared-experts 1 --top-k 2
if grep -q "</svg>" "$tmp/eval.svg"; then ok; else bad "eval --plot"; fi
good '"layers_with_tokens": 1' eval "$tmp/counts.json" --placement "$tmp/place.json" --ranks 2 --json -
refused "takes one file of counts: 0" eval
refused "needs --placement" eval "$tmp/counts.json" --ranks 2
refused "needs --ranks" eval "$tmp/counts.json" --placement "$tmp/place.json"
refused "place.json has 2 layers: .*shallow.json has 1" eval "$tmp/shallow.json" \
    --placement "$tmp/place.json" --ranks 2
refused "6 slots in a layer: not a multiple of --ranks 4" eval "$tmp/counts.json" \
    --placement "$tmp/place.json" --ranks 4
refused "no \"physical_to_logical_map\"" eval "$tmp/counts.json" --placement "$tmp/counts.json" --ranks 2
refused "no \"logical_count\"" eval "$tmp/place.json" --placement "$tmp/place.json" --ranks 2
refused "must be 1 to 1024" eval "$tmp/counts.json" --placement "$tmp/place.json" --ranks 1025
good "^level plan for 2 ranks, 3 slots each" plan "$tmp/counts.json" --ranks 2 --redundant 2 -o "$tmp/new.json"
good "^mean .* 1.0000" eval "$tmp/counts.json" --placement "$tmp/new.json" --ranks 2
good '^{"physical_to_logical_map\|^  "physical_to_logical_map' plan "$tmp/counts.json" --ranks 2 --policy eplb -o -
good '"slots_written": 0' plan "$tmp/counts.json" --ranks 2 --current "$tmp/new.json" \
    -o "$tmp/same.json" --json -
if cmp -s "$tmp/new.json" "$tmp/same.json"; then ok; else bad "a level placement was changed"; fi
good "slots written in 1 layers" plan "$tmp/counts.json" "$tmp/counts.json" --ranks 2 \
    --current "$tmp/bad.json" -o "$tmp/mended.json"
refused "0 or 2 would" plan "$tmp/counts.json" --ranks 2 --redundant 1 -o -
refused "new.json has 2" plan "$tmp/counts.json" --ranks 2 --redundant 4 --current "$tmp/new.json" -o -
refused "no plan: " plan "$tmp/counts.json" --ranks 2 --redundant 8190 -o -
refused "1 to 64 files of counts: 0" plan --ranks 2 -o -
refused "needs --output" plan "$tmp/counts.json" --ranks 2
refused "needs --ranks" plan "$tmp/counts.json" -o "$tmp/p.json"
refused "must divide --ranks 4" plan "$tmp/counts.json" --ranks 4 --nodes 3 -o "$tmp/p.json"
refused "away from --current" plan "$tmp/counts.json" --ranks 2 -o - --budget 3
refused "both the standard output" plan "$tmp/counts.json" --ranks 2 -o - --json -
refused "one of level, eplb" plan "$tmp/counts.json" --ranks 2 -o "$tmp/p.json" --policy best
refused "eplb counts tokens" plan "$tmp/counts.json" --ranks 2 -o - --policy eplb --objective experts --steps 9
refused "experts and --expert-ns need --steps" plan "$tmp/counts.json" --ranks 2 -o - --objective experts
refused "experts and --expert-ns need --steps" plan "$tmp/counts.json" --ranks 2 -o - --objective cost --expert-ns 1
refused "nothing else does" plan "$tmp/counts.json" --ranks 2 -o - --steps 9
refused "cost and --expert-ns or --row-ps" plan "$tmp/counts.json" --ranks 2 -o - --objective cost
refused "cost and --expert-ns or --row-ps" plan "$tmp/counts.json" --ranks 2 -o - --row-ps 1
if [ -f "$data/deepseek-r1-expert-counts/prefill_in4096.json" ]; then
    r1=$data/deepseek-r1-expert-counts
    good "^eplb plan for 32 ranks, 9 slots each" plan "$r1/decode_in2000out100.json" --ranks 32 \
        --redundant 32 --policy eplb -o "$tmp/eplb.json"
    good "^mean  *1.2586  *1.1475  *1.1564  *1.0559$" eval "$r1/decode_in500out1500.json" \
        --placement "$tmp/eplb.json" --ranks 32 --shared-experts 1
    good "^worst  *1.6507  *1.5396  *1.5431  *1.4320$" eval "$r1/decode_in500out1500.json" \
        --placement "$tmp/eplb.json" --ranks 32 --shared-experts 1
    good "1.0559 (worst layer 1.4320) before, 1.000" plan "$r1/decode_in500out1500.json" --ranks 32 \
        --current "$tmp/eplb.json" --shared-experts 1 -o "$tmp/repaired.json"
    good "^10 slots written" plan "$r1/decode_in500out1500.json" --ranks 32 --budget 10 \
        --current "$tmp/eplb.json" --shared-experts 1 -o "$tmp/repaired.json"
    good "^Worth it: level plan repaired, step balance gains 60 %" diagnose "$r1"/*.json --ranks 32 \
        --shared-experts 1 --moe-ms 20 --expert-mb 44
    # The baselines of the design for EPLB's placement, one workload later.
    good "^as it is, split evenly  *1.2586  *1.6507" diagnose "$r1/decode_in500out1500.json" --ranks 32 \
        --shared-experts 1 --current "$tmp/eplb.json"
    good "^step balance alone  *1.0559  *1.4320" diagnose "$r1/decode_in500out1500.json" --ranks 32 \
        --shared-experts 1 --current "$tmp/eplb.json"
    good '"remedy": "repair_step"' diagnose "$r1"/*.json --ranks 64 --shared-experts 1 --nodes 8 \
        --groups 8 --json -
    refused "no plan: " plan "$r1/prefill_in512.json" --ranks 32 --redundant 32 --nodes 4 --groups 7 \
        --policy eplb -o -
else
    skip "plans of DeepSeek-R1's counts: $data is not there"
fi
refused "away from --current" plan "$tmp/counts.json" --ranks 2 -o "$tmp/p.json" --plot "$tmp/p.svg"
# Expert 0 is hot and has one copy: one slot makes it level; the curve ends where the plan does.
echo '{"physical_to_logical_map": [[0, 1, 2, 3, 2, 1], [0, 1, 2, 3, 2, 1]]}' >"$tmp/present.json"
good "^ *1  *1.0000  *1.0000$" plan "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" --budget 4 \
    -o "$tmp/p.json"
good "MB sent" plan "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" --budget 4 \
    --expert-mb 44 --plot "$tmp/plan.svg" -o "$tmp/p.json"
if grep -q "</svg>" "$tmp/plan.svg"; then ok; else bad "plan --plot"; fi
# What is level depends on what a rank spends. In 100 steps expert 0 is active in 59.5, each other one
# in 9.6: rank 0 reads 59.5 where 44.1 is the mean. In 2 steps each is active in both. Time is that of
# reading or of computing, whichever is more.
by() { # WANTED OBJECTIVE...: the first and last row of the curve
    wanted=$1
    shift
    good "^greatest rank load.* / mean: $wanted" plan "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" \
        --budget 4 -o "$tmp/p.json" --objective "$@"
    if grep -q "^ *0  *${wanted%% *}  *${wanted%% *}$" "$tmp/out"; then ok; else bad "plan's curve: $*"; fi
}
by "1.5000 .* 1.0000" tokens
by "1.3496 .* 1.0000" experts --steps 100
by "1.0000 .* 1.0000" experts --steps 2
by "1.5000 .* 1.0000" cost --row-ps 400
by "1.5000 .* 1.0000" cost --row-ps 4000 --expert-ns 1 --steps 100
by "1.3496 .* 1.0000" cost --row-ps 1 --expert-ns 1 --steps 100
good '"objective": "experts"' plan "$tmp/counts.json" --ranks 2 --objective experts --steps 9 -o "$tmp/p.json" --json -
good '"curve"' plan "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" --policy eplb -o "$tmp/p.json" --json -
good "^Uneven: on 2 ranks" diagnose "$tmp/counts.json" --ranks 2
good "cannot be told from one window" diagnose "$tmp/counts.json" --ranks 2
good "^It shifts: .*67 %" diagnose "$tmp/steps.json" --ranks 2 --plot "$tmp/diagnose.svg"
if grep -q "</svg>" "$tmp/diagnose.svg"; then ok; else bad "diagnose --plot"; fi
good '"uneven": true' diagnose "$tmp/counts.json" --ranks 2 --json -
# Of the placement in force: expert 0 alone on a rank is level with step balance, or one copy away.
good "^Level enough: .*" diagnose "$tmp/counts.json" --ranks 2 --current "$tmp/new.json"
good "^as it is, split evenly  *1.6667  *1.6667" diagnose "$tmp/counts.json" --ranks 2 --current "$tmp/present.json"
good "^repaired, step balance  *1.0000  *1.0000 .* 1.00 a window" diagnose "$tmp/counts.json" --ranks 2 \
    --current "$tmp/present.json"
good "2 redundant slots for plans" diagnose "$tmp/counts.json" --ranks 2 --current "$tmp/present.json"
good "4 redundant slots for plans" diagnose "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" --redundant 4
good '"current": ".*present.json"' diagnose "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" --json -
good "." diagnose "$tmp/counts.json" --ranks 2 --current "$tmp/present.json" --plot "$tmp/current.svg"
if grep -q "repaired, step balance" "$tmp/current.svg"; then ok; else bad "diagnose --current --plot"; fi
refused "place.json has 2 layers: .*shallow.json has 1" diagnose "$tmp/shallow.json" --ranks 2 --current "$tmp/place.json"
refused "6 slots in a layer: not a multiple of --ranks 4" diagnose "$tmp/counts.json" --ranks 4 \
    --current "$tmp/place.json"
refused "needs a file" diagnose --ranks 2
refused "needs --ranks" diagnose "$tmp/counts.json"
refused "shallow.json has 1 layers, 4 experts: .*counts.json has 2, 4" diagnose "$tmp/counts.json" \
    "$tmp/shallow.json" --ranks 2
refused "saw a token" diagnose "$tmp/none.json" --ranks 2
refused "0 or 2 would" diagnose "$tmp/counts.json" --ranks 2 --redundant 1
refused "no command" nonsense
refused "no model" replay --model nonsense
refused "no option" replay --nonsense
refused "needs a value" replay --model
refused "must be 1 to 256" replay --model deepseek-v3 --ranks 0
refused "must be one of" replay --model deepseek-v3 --shared nonsense
refused "needs a file or --model" replay
refused "nothing.npy" replay "$tmp/nothing.npy"
echo '{"logical_count": [[1, 2], [3]]}' >"$tmp/ragged.json"
refused "ragged.json" replay "$tmp/ragged.json"
echo 'not an array' >"$tmp/text.npy"
refused "text.npy" replay "$tmp/text.npy"
refused "not-there" info /not-there.so
refused "libc" info libc.so.6
# Mapping a file that ends early is a bus error: it must not come to that.
for bytes in 10 63 64 100 3000 4096 200000; do
    head -c $bytes "$build/libsluice_cpu.so" >"$tmp/cut.so"
    refused "cut.so" info "$tmp/cut.so"
done
size=$(wc -c <"$build/libsluice_cpu.so")
head -c $((size - 1)) "$build/libsluice_cpu.so" >"$tmp/cut.so"
refused "cut.so: ends after $((size - 1)) bytes" info "$tmp/cut.so"
# Offsets whose sum is more than 64 bits hold: e_phoff, e_shoff, and the first p_filesz.
for at in 32 40 96; do
    cp "$build/libsluice_cpu.so" "$tmp/wild.so"
    printf '\377\377\377\377\377\377\377\377' | dd of="$tmp/wild.so" bs=1 seek=$at conv=notrunc status=none
    refused "wild.so: ends after $size bytes" info "$tmp/wild.so"
done
refused "slots_per_rank" replay --model deepseek-v3 --redundant 8000 --ranks 8 --layers 1

# One step of one layer that takes minutes: how far it is must be seen on a terminal all the same.
cat >"$tmp/terminal.py" <<'END'
import os, pty, re, select, subprocess, sys, time

reader, terminal = pty.openpty()
run = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=terminal)
os.close(terminal)
text, end = "", time.monotonic() + 30
while len(set(re.findall(r"\rreplay \[[#.]+\] +(\d+) %", text))) < 2 and time.monotonic() < end:
    if select.select([reader], [], [], 1)[0]:
        try:
            text += os.read(reader, 4096).decode()
        except OSError:
            break
run.kill()
run.wait()
sys.exit(0 if len(set(re.findall(r"(\d+) %", text))) >= 2 else f"no progress is shown: {text!r}")
END
if ! command -v python3 >/dev/null; then
    skip "progress on a terminal: python3 is not there"
elif ! python3 -c 'import pty; pty.openpty()' 2>/dev/null; then
    skip "progress on a terminal: this machine has no pseudo-terminals"
elif python3 "$tmp/terminal.py" "$sluice" replay --model mixtral-8x7b --ranks 1 --layers 1 --steps 1 \
    --tokens 60000 --width 512 >"$tmp/out" 2>&1; then
    ok
else
    bad "replay on a terminal: $(cat "$tmp/out")"
fi

# A plugin that says no without a text: its status is named.
fake=$build/plugins/fake_whole.so
if make --no-print-directory -s BUILD="$build" "$fake" >"$tmp/out" 2>&1; then
    good "^cannot run here: UNAVAILABLE$" info "$fake"
    good '"why_not": "UNAVAILABLE"' info "$fake" --json -
else
    bad "$fake: $(cat "$tmp/out")"
fi

# Where there is no driver replay says what info says.
cuda=$build/libsluice_cuda.so
if [ -f "$cuda" ] && "$sluice" info "$cuda" | grep -q '^cannot run here: no CUDA driver'; then
    refused "finding a device: no CUDA driver" replay --model deepseek-v3 --plugin "$cuda"
fi

# A set-uid process takes nothing from its caller: neither the variables nor the name it is called by.
chmod 755 "$tmp"
mkdir "$tmp/setuid" "$tmp/other"
for file in "$sluice" "$build/libsluice_cpu.so"; do cp "$file" "$tmp/setuid/"; done
cp "$fake" "$tmp/other/libsluice_cpu.so"
cp "$(command -v id)" "$tmp/setuid/id"
whose() { # VARIABLE=VALUE, or NAME as argv[0]: the plugin's folder
    case $1 in
    *=*) env "$1" "$tmp/setuid/sluice" info 2>&1 ;;
    *) bash -c 'exec -a "$1" "$2" info' _ "$1" "$tmp/setuid/sluice" 2>&1 ;;
    esac | head -n 1
}
own="$tmp/setuid/libsluice_cpu.so" theirs="$tmp/other/libsluice_cpu.so"
plain="$(whose SLUICE_PLUGIN="$theirs") $(whose SLUICE_PLUGIN_PATH="$tmp/other") $(whose "$tmp/other/sluice")"
if [ "$plain" = "$theirs $theirs $own" ]; then ok; else bad "an ordinary process loads $plain"; fi
if [ "$(id -u)" != 0 ]; then
    skip "set-uid: needs root"
elif ! chown nobody "$tmp/setuid/id" "$tmp/setuid/sluice" || ! chmod 4755 "$tmp/setuid/id" "$tmp/setuid/sluice" ||
    [ "$("$tmp/setuid/id" -u)" = 0 ]; then
    skip "set-uid: has no effect in $tmp"
else
    for how in "SLUICE_PLUGIN=$theirs" "SLUICE_PLUGIN_PATH=$tmp/other" "$tmp/other/sluice"; do
        loaded=$(whose "$how")
        if [ "$loaded" = "$own" ]; then ok; else bad "set-uid with $how loads $loaded"; fi
    done
fi

# Where the figures cannot go is said before anything is served or measured.
mkdir "$tmp/folder"
for path in "$tmp/nowhere/x" "$tmp/folder" "$tmp/text.npy/x"; do
    refused "$path: " replay --model mixtral-8x7b --steps 1000000 --json "$path"
    refused "$path: " replay --model mixtral-8x7b --steps 1000000 --plot "$path"
    refused "$path: " bench --quick --only overhead --json "$path"
    refused "$path: " info --json "$path"
done
refused "not-there" bench --plugin /not-there.so
refused "no path nonsense" bench --count 1 --shape mixtral-8x7b --path nonsense
refused "unknown option" bench --nonsense
refused "go with --count" bench --path portable
refused "given twice" bench --counts "$tmp/text.npy"
refused "no/such/file" bench --only plan --counts no/such/file --counts no/such/file
refused "of route, not of solve" bench --count 1 --shape w32-r32 --tokens 4
if "$sluice" bench --count 1 --shape w32-r32; then ok; else bad "bench --count of solve"; fi
if "$sluice" bench --count 1 --shape mixtral-8x7b --path portable; then ok; else bad "bench --count"; fi

line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" = 0 ]
