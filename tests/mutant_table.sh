# Sourced by conform.sh and cuda_mutants.sh: mutants that the conformance suite must catch, and
# their table. A mutant that is caught is a pass; it counts as caught only when some cases pass: a
# plugin that does not even load proves nothing. Adds to the caller's passed and failed.
list=abi/mutants/mutants.txt
all_mutants() { sed -n 's/^ *\([a-z0-9_]*\) *|.*/\1/p' $list; }

# Each mutant's run ends at the first failed case; the one that should catch it is tried first.
try_mutant() {
    local begin
    begin=$(sed -n "s/^ *$3 *|[^|]*| *//p" abi/mutants/mutants.txt)
    timeout 300 "$BUILD/sluice-conform" --first --timeout "${MUTANT_TIMEOUT:-8}" \
        ${begin:+--begin "$begin"} "$1/$3.so" >"$2/$3.log" 2>&1
}
export -f try_mutant

# run_mutants FOLDER LOGS NAME...
run_mutants() {
    local folder=$1 logs=$2 name what log line by
    shift 2
    printf '%s\n' "$@" | xargs -r -P 2 -I{} bash -c 'try_mutant "$@"' _ "$folder" "$logs" {} || true
    printf '%-26s | %-66s | %s\n' mutant "what it breaks" "caught by"
    for name; do
        what=$(sed -n "s/^ *$name *| *\([^|]*[^| ]\).*/\1/p" $list)
        log=$logs/$name.log
        line=$(tail -n 1 "$log")
        by=$(sed -nE 's/^(not ok|FAIL(ED)?)[: ]+([^ :]+).*/\3/p' "$log" | awk '
            NR <= 3 { text = text (NR > 1 ? ", " : "") $0 }
            END { print text (NR > 3 ? ", and " NR - 3 " more" : "") }')
        if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] && [ "${BASH_REMATCH[1]}" -gt 0 ] &&
            [ "${BASH_REMATCH[2]}" -gt 0 ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            by="NOT CAUGHT (${line:-no output})"
        fi
        printf '%-26s | %-66s | %s\n' "$name" "$what" "$by"
    done
}
