"""``python -m teaforn_fairseq.export``: ``teaforn-export`` without installing."""

from teaforn_fairseq.export.command import main

main()
