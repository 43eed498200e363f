"""Every change that the plugin makes inside fairseq, made by one call.

They act on every run with this ``--user-dir``, of stock models too. One file a change, each with
an ``apply``.
"""

from functools import cache

from teaforn_fairseq.fairseq_fixes import quiet

quiet.apply()  # here, because the others import fairseq, which warns

from teaforn_fairseq.fairseq_fixes import (  # noqa: E402
    asked_checkpoints,
    bf16_on_gpus,
    combined_data,
    exact_resume,
    full_help,
    numpy_names,
    safe_loading,
    safe_options,
    side_doors,
    slot_counts,
    unshared_layers,
    which_code,
    whole_evaluation,
    whole_scores,
)

FIXES = (
    safe_loading,
    safe_options,
    side_doors,
    exact_resume,
    unshared_layers,
    asked_checkpoints,
    bf16_on_gpus,
    combined_data,
    numpy_names,
    which_code,
    whole_evaluation,
    whole_scores,
    full_help,
    slot_counts,
)


@cache
def apply() -> None:
    """Make all changes; a second call does nothing."""
    for fix in FIXES:
        fix.apply()
