"""Every change that the plugin makes inside fairseq, made by one call.

They act on every run with this ``--user-dir``, of stock models too. One file a change, each with
an ``apply``.
"""

from functools import cache

from teaforn_fairseq.fairseq_fixes import (
    exact_resume,
    full_help,
    safe_loading,
    safe_options,
    side_doors,
    slot_counts,
)

FIXES = (safe_loading, safe_options, side_doors, exact_resume, full_help, slot_counts)


@cache
def apply() -> None:
    """Make all changes; a second call does nothing."""
    for fix in FIXES:
        fix.apply()
