#!/usr/bin/env bash
# What libsluice_cpu.so shows to its host, and what it takes from it.
set -u
cd "$(dirname "$0")/.." || exit 1
lib=${1:-${BUILD:-build}/libsluice_cpu.so}
if [ ! -f "$lib" ]; then
    echo "$lib is not built"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

passed=0 failed=0
# want "what should hold" GOT WANTED
want() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok: $1: got '$2', want '$3'"
    fi
}

dynamic=$(readelf -dW "$lib")
sections=$(readelf -SW "$lib")
segments=$(readelf -lW "$lib")
undefined=$(nm -D --undefined-only "$lib" | awk '{ sub(/@.*/, "", $NF); print $NF }')

want "one exported function, no exported data" \
    "$(nm -D --defined-only "$lib" | awk '$2 != "A" { print $2, $3 }' | xargs)" \
    "T sluice_plugin_get"
want "needs no library but libc and libm" \
    "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic" |
        grep -vE '^(libc\.so\.6|libm\.so\.6|ld-linux-x86-64\.so\.2)$' | xargs)" ""
want "no SONAME, no RPATH" "$(grep -cE '\((SONAME|RPATH|RUNPATH)\)' <<<"$dynamic")" 0
want "is never unloaded" "$(grep -c NODELETE <<<"$dynamic")" 1
want "is bound at load" "$(grep -cE '\(FLAGS\).*BIND_NOW' <<<"$dynamic")" 1
want "no relocation in code" "$(grep -c TEXTREL <<<"$dynamic")" 0
want "read-only after relocation" "$(grep -c GNU_RELRO <<<"$segments")" 1
want "no executable stack" "$(grep GNU_STACK <<<"$segments" | grep -c RWE)" 0
want "has debug information" "$(grep -c ' \.debug_info' <<<"$sections")" 1
want "never touches the environment" \
    "$(grep -xE '(secure_)?getenv|setenv|putenv|unsetenv|clearenv|environ' <<<"$undefined" | xargs)" ""
want "never touches signals" \
    "$(grep -xE 'signal|sigaction|sigprocmask|pthread_sigmask|raise|kill|alarm|setitimer' \
        <<<"$undefined" | xargs)" ""
want "never ends the process, and leaves nothing for its end" \
    "$(grep -xE '_?_?exit|_Exit|quick_exit|abort|__assert_fail|atexit|__cxa_atexit|on_exit' \
        <<<"$undefined" | xargs)" ""
want "never writes to the host's standard streams" \
    "$(grep -xE '(__)?v?printf(_chk)?|puts|putchar|perror|stdout|stderr' <<<"$undefined" | xargs)" ""

echo "$passed passed, $failed failed"
[ $failed = 0 ]
