"""Entities: runs of words that tags such as B-PER and I-PER spell, and how many of them were found."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Entity(NamedTuple):
    """Words `begin` to `end`, the end exclusive."""

    kind: str
    begin: int
    end: int


def has_entities(tags: Sequence[str]) -> bool:
    """Whether tags are of the kind that spells entities."""
    return any(tag[:2] in ("B-", "I-") for tag in tags)


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence as conlleval reads them: B- begins one, and so does I- where nothing or another kind
    went before. S- (alone) and E- (last) of the five-letter scheme are read too; other tags are none."""
    return list(_entities(tags))


def _entities(tags: Sequence[str]) -> Iterator[Entity]:
    begin, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, own = (tag[0], tag[2:]) if tag[1:2] == "-" and tag[0] in "BIES" else ("", "")
        if kind and (prefix in ("", "B", "S") or own != kind):
            yield Entity(kind, begin, place)
            kind = ""
        if prefix and not kind:
            begin, kind = place, own
        if kind and prefix in ("E", "S"):
            yield Entity(kind, begin, place + 1)
            kind = ""


def tag_scores(true: Sequence[Sequence[str]], found: Sequence[Sequence[str]], spans: bool = True) -> dict[str, float]:
    """Share of words with the right tag; with `spans` precision, recall and F1 of exact entities, over all sentences."""
    words = sum(map(len, true))
    right = sum(a == b for row in zip(true, found, strict=True) for a, b in zip(*row, strict=True))
    scores = {"accuracy": right / max(words, 1)}
    if not spans:
        return scores
    pairs = [(set(entities(a)), set(entities(b))) for a, b in zip(true, found, strict=True)]
    hits, given, wanted = (sum(len(part) for part in parts) for parts in (
        [a & b for a, b in pairs], [b for _, b in pairs], [a for a, _ in pairs]))  # fmt: skip
    return {
        **scores,
        "precision": hits / max(given, 1),
        "recall": hits / max(wanted, 1),
        "f1": 2 * hits / max(given + wanted, 1),
    }
