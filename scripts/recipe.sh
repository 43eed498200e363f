#!/usr/bin/env bash
# A data set, from download to score, with teacher forcing or TeaForN. See --help.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

any=''
for word in "$@"; do
    case $word in
        -h | --help | --dry-run) any=any ;;
        --) break ;;
    esac
done
python=$(find_python "$any")
# exec: whoever ends this script ends the recipe.
exec "$python" "$ROOT/scripts/recipe.py" "$@"
