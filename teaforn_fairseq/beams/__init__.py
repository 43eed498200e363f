"""``teaforn-beams``: what labelled checkpoints are worth at each beam, over seeds."""
