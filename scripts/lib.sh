# shellcheck shell=bash
# What the scripts in bash share. Sourced, never run.

# shellcheck disable=SC2034  # used where this is sourced
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

note() {
    printf '\n== %s\n' "$*"
}

# find_python [any]: the first of $PYTHON or the usual names that is a supported Python; with any,
# as for what runs no fairseq, newer ones too.
find_python() {
    local python candidates=(python3 python3.12 python3.11 python3.13) most='(3, 14)'
    [[ -z ${1:-} ]] || most='(4,)'
    [[ ${VENV:-} != none ]] || candidates=(python "${candidates[@]}")
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for python in "${candidates[@]}"; do
        if "$python" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < $most)" \
            2>/dev/null; then
            echo "$python"
            return
        fi
    done
    die "Python 3.11, 3.12 or 3.13 is needed (fairseq itself fails on 3.14); received" \
        "${PYTHON:-${candidates[0]}}:" \
        "$("${PYTHON:-${candidates[0]}}" --version 2>&1 | head -n 1). Install one of them and set" \
        "PYTHON=/path/to/python3.12."
}
