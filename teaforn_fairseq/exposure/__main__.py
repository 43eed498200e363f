"""``python -m teaforn_fairseq.exposure``: ``teaforn-exposure`` without installing."""

from teaforn_fairseq.exposure.command import main

main()
