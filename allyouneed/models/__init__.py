"""One page per paper. A page composes parts in plain Python; no page imports another. `catalogue.py` lists them."""
