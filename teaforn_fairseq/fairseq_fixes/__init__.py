"""Every change that the plugin makes inside fairseq, made by one call.

They act on every run with this ``--user-dir``, of stock models too.
"""

from functools import cache

from teaforn_fairseq.fairseq_fixes import exact_resume, safe_loading, unshared_layers


@cache
def apply() -> None:
    """Make all changes; a second call does nothing."""
    safe_loading.apply()
    exact_resume.apply()
    unshared_layers.apply()
