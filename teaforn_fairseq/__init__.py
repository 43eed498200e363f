"""TeaForN (Teacher-Forcing with N-grams, EMNLP 2020) as a fairseq user directory.

Importing the package registers the criterion ``teaforn_cross_entropy``, the ``teaforn_*``
architectures and the task ``teaforn_translation``. It also mends how fairseq reads checkpoints and
options, resumes, evaluates and uses numpy, in runs of stock models too (``fairseq_fixes``).
"""

__version__ = "0.1.0"

from teaforn_fairseq import fairseq_fixes, models  # noqa: F401
from teaforn_fairseq.criterions import teaforn_cross_entropy  # noqa: F401
from teaforn_fairseq.tasks import teaforn_translation  # noqa: F401

fairseq_fixes.apply()
