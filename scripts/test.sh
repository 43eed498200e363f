#!/usr/bin/env bash
# The whole test suite, in a virtual environment of its own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<TEXT
Usage: scripts/test.sh [PYTEST OPTIONS]

Sets up a virtual environment with the tested set of packages and runs every test on the CPU, the
real fairseq command lines included; some minutes. Safe to run again.

Environment (defaults):
  PYTHON=python3   Python 3.11, 3.12 or 3.13 for the virtual environment
  VENV=.venv       the virtual environment; none: the active one as it is
  OMP_NUM_THREADS=1   threads of each of the test processes, one for each core
TEXT
}

case ${1:-} in -h | --help) usage && exit ;; esac

python=$(find_python)
"$python" "$ROOT/scripts/environment.py" beams,bench,demo,export,huggingface,recipes,test
[[ ${VENV:=$ROOT/.venv} == none ]] || PATH=$VENV/bin:$PATH
cd "$ROOT"
# A process for each core, and one thread in each: threads that share cores wait for each other.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m pytest --numprocesses auto --dist worksteal "$@"
