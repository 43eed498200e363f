#!/usr/bin/env bash
# The tests and measurements that need a GPU. See --help.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# This checkout's plugin, whatever is installed; torch and fairseq are the active Python's own.
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}
exec "${PYTHON:-python3}" "$ROOT/scripts/gpu_check.py" "$@"
