"""``teaforn-exposure``: what labelled checkpoints do behind gold and behind their own tokens."""
