"""``python -m teaforn_fairseq.beams``: ``teaforn-beams`` without installing."""

from teaforn_fairseq.beams.command import main

main()
