# Sourced by the other scripts: runs the steps of a script and says how long each took.

declare -a step_times=()

# step NAME COMMAND...: runs the command. If it fails, the script ends there. A function is run
# without `set -e` and has to return its failures.
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    if ! "$@"; then
        printf '== %s failed after %d s\n' "$name" $((SECONDS - start)) >&2
        exit 1
    fi
    step_times+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

# Prints how long each step took.
report_steps() {
    printf '\n== all passed\n'
    printf '%s\n' "${step_times[@]}" "$(printf '%6d s  in all' "$SECONDS")"
}
