"""What is held out of a set of images that brings no val or test: the same share of every class, by a seed."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

SHARE = 0.1  # of every class ...
LIMIT = 5000  # ... up to about this many in all: enough to know an accuracy of 90 % within half a point


def hold_out(labels: Sequence[str], keys: Sequence[bytes], parts: int, seed: int) -> np.ndarray:
    """The part of each image: 0 is train, 1 to `parts` are held out.

    Images of a class with one key, which are the same image, are never in two parts. They are ranked by a hash, so their
    order has no influence, and a set that grows keeps most of what was held out. Every class keeps an image in train.
    """
    classes: dict[str, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (label, key) in enumerate(zip(labels, keys, strict=True)):
        classes[label][key].append(row)
    share = min(SHARE, LIMIT / max(len(labels), 1))
    part_of = np.zeros(len(labels), dtype=np.int64)
    for groups in classes.values():
        ranked = sorted(groups, key=lambda key: hashlib.blake2b(b"%d\0" % seed + key, digest_size=16).digest())
        each = max(1, round(share * sum(map(len, groups.values()))))
        for part in range(1, parts + 1):
            taken = 0
            while taken < each and len(ranked) > 1:  # the last one stays in train
                rows = groups[ranked.pop(0)]
                part_of[rows], taken = part, taken + len(rows)
    return part_of
