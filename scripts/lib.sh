# shellcheck shell=bash
# What all scripts share: messages, dry runs and the virtual environment. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # used where this is sourced
PLUGIN=$ROOT/teaforn_fairseq
VENV=${VENV:-$ROOT/.venv}
DRY_RUN=

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

note() {
    printf '\n== %s\n' "$*"
}

# run COMMAND...: run it, or with DRY_RUN print it.
run() {
    if [[ -n $DRY_RUN ]]; then
        quoted "$@"
        echo
    else
        "$@"
    fi
}

# run_to FILE COMMAND...: the same with the output in FILE, whole or not at all.
run_to() {
    local file=$1
    shift
    if [[ -n $DRY_RUN ]]; then
        quoted "$@"
        printf ' >%s\n' "$(quoted "$file")"
    else
        "$@" >"$file.partial" || die "could not write $file: the command above failed, or the" \
            "disk is full. Run again: it starts over with this file."
        mv "$file.partial" "$file"
    fi
}

quoted() {
    local word separator=''
    for word in "$@"; do
        # A * stays bare: the shell is to find the epoch in a checkpoint's name.
        [[ $word =~ ^[A-Za-z0-9_./:,=@%+*-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
        printf '%s' "$separator$word"
        separator=' '
    done
}

# The first of $PYTHON or the usual names that is a supported Python.
find_python() {
    local python candidates=(python3 python3.12 python3.11)
    [[ -n ${PYTHON:-} ]] && candidates=("$PYTHON")
    for python in "${candidates[@]}"; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
            2>/dev/null; then
            echo "$python"
            return
        fi
    done
    die "Python 3.11 or 3.12 is needed; received ${PYTHON:-python3}:" \
        "$("${PYTHON:-python3}" --version 2>&1 | head -n 1). Install one of them and set" \
        "PYTHON=/path/to/python3.11."
}

# setup_venv EXTRAS: a virtual environment with the tested set, made or brought up to date.
setup_venv() {
    local python stamp wanted
    if [[ $VENV == none ]]; then
        command -v fairseq-train >/dev/null ||
            die "VENV=none: takes the active environment as it is, and that has no fairseq-train in" \
                "PATH. Install fairseq into it, or leave VENV out."
        return
    fi
    python=$(find_python) || exit 1
    stamp=$VENV/installed-$1
    wanted=$(cd "$ROOT" && cat setup.py pyproject.toml constraints.txt teaforn_fairseq/*.py \
        teaforn_fairseq/*/*.py | cksum)
    if [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]]; then
        note "installing into $VENV"
        "$python" -m venv "$VENV"
        "$VENV/bin/python" -m pip install --quiet --constraint "$ROOT/constraints.txt" "${ROOT}[$1]"
        echo "$wanted" >"$stamp"
    fi
    PATH=$VENV/bin:$PATH
}

# same_settings FILE SETTINGS: refuse to mix results of different settings in one folder.
same_settings() {
    [[ -n $DRY_RUN ]] && return
    if [[ ! -e $1 ]]; then
        mkdir -p "$(dirname "$1")"
        run_to "$1" echo "$2"
    elif [[ $(<"$1") != "$2" ]]; then
        die "$(dirname "$1") holds results of other settings. There: $(<"$1"). Now: $2." \
            "Choose another OUT, or remove that folder."
    fi
}

# finished PATH: it is there and nothing has to be done. A dry run prints what makes it.
finished() {
    [[ -z $DRY_RUN && -e $1 ]]
}
