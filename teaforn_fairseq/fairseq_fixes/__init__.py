"""Every change that the plugin makes inside fairseq, made by one call.

They act on every run with this ``--user-dir``, of stock models too.
"""

from functools import cache

from teaforn_fairseq.fairseq_fixes import quiet

quiet.apply()  # here, because the others import fairseq, which warns

from teaforn_fairseq.fairseq_fixes import (  # noqa: E402
    asked_checkpoints,
    combined_data,
    exact_resume,
    numpy_names,
    safe_loading,
    which_code,
    whole_evaluation,
)


@cache
def apply() -> None:
    """Make all changes; a second call does nothing."""
    safe_loading.apply()
    exact_resume.apply()
    asked_checkpoints.apply()
    combined_data.apply()
    numpy_names.apply()
    which_code.apply()
    whole_evaluation.apply()
