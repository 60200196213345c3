"""Automatic splits: which sentence pairs are held out, by a seed; none of them is seen in training."""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

SHARE = 20  # a held-out split takes one pair in twenty ...
LIMIT = 1000  # ... up to about this many: enough to know BLEU within about 1.5 points

NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}


def split_named(name: str) -> str | None:
    """train, val or test, where a file's name says it: `train.tsv`, `wiki.valid.tokens`, `dev_in_domain.csv`."""
    words = re.split(r"[-_.]", name.lower())
    return next((NAMES[word] for word in words if word in NAMES), None)


def sentence_key(sentence: str) -> str:
    """What makes two sentences the same: they differ at most in case, spaces and Unicode composition."""
    return " ".join(unicodedata.normalize("NFC", sentence).casefold().split())


def assign_splits(source: Sequence[str], target: Sequence[str], parts: int, seed: int) -> list[int]:
    """A split per pair: 0 is train, 1 to ``parts - 1`` are held out. A source is never in two splits.

    Neither is a target, as long as the data allow it. Collections such as Tatoeba translate one sentence many
    times: split by source alone, a third of the German-English test references stand in train. Pairs that
    share a sentence therefore stay together. Groups are ranked by a hash, so the order of the lines has no
    influence, and a file that grows keeps most of what was held out. ValueError for fewer distinct sources
    than ``parts``.
    """
    sources = [sentence_key(sentence) for sentence in source]
    size = min(max(1, len(sources) // SHARE), LIMIT)
    groups = join_groups(sources, [sentence_key(sentence) for sentence in target])
    pairs = Counter(groups)
    if len(pairs) < parts or len(groups) - max(pairs.values()) < size * (parts - 1):
        groups = sources  # nearly all pairs hang together, for example where all have one target
        pairs = Counter(groups)
    if len(pairs) < parts:
        raise ValueError(f"{len(pairs)} distinct source sentences")
    held_out = _hold_out(pairs, size, parts, seed)
    return [held_out.get(group, 0) for group in groups]


def _hold_out(pairs: Counter[str], size: int, parts: int, seed: int) -> dict[str, int]:
    """Group -> split, for the groups that are held out; the largest group always stays in train."""

    def rank(group: str) -> bytes:
        return hashlib.blake2b(f"{seed}\n{group}".encode(), digest_size=16).digest()

    largest = max(pairs, key=lambda group: (pairs[group], rank(group)))
    filled = [size] + [0] * (parts - 1)  # train counts as full
    held_out = {}
    for group in sorted(pairs.keys() - {largest}, key=rank):
        part = min(range(parts), key=filled.__getitem__)
        if filled[part] >= size:
            break
        held_out[group] = part
        filled[part] += pairs[group]
    return held_out


def join_groups(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    """A group's name for each pair: pairs with a common source or target are in one (union-find).

    The name is the group's alphabetically first source, which does not depend on the order of the lines.
    """
    parent = list(range(len(sources)))

    def find(pair: int) -> int:
        while parent[pair] != pair:
            parent[pair] = parent[parent[pair]]
            pair = parent[pair]
        return pair

    for side in (sources, targets):
        first: dict[str, int] = {}
        for pair, sentence in enumerate(side):
            parent[find(pair)] = find(first.setdefault(sentence, pair))
    members: dict[int, list[str]] = defaultdict(list)
    for pair, sentence in enumerate(sources):
        members[find(pair)].append(sentence)
    names = {root: min(group) for root, group in members.items()}
    return [names[find(pair)] for pair in range(len(sources))]
