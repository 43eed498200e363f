#!/usr/bin/env bash
# From nothing to tables of scores: teacher forcing and TeaForN on path-star graphs, and on numerals
# and dates. See --help.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

any=''
case ${1:-} in -h | --help) any=any ;; esac
python=$(find_python "$any")
# exec: whoever ends this script ends what it started.
exec "$python" "$ROOT/scripts/quickstart.py" "$@"
