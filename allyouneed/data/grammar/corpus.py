"""From patterns to a corpus: distinct sentences, bonds kept out of training, and the three splits.

A bond is a meeting of two words (eat and apple, Anna and the park). A few per cent of all bonds, chosen by the seed,
occur in the test set alone: half of the test sentences hold at least one of them, the other half are merely unseen.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from re import findall

from allyouneed.data.parallel import ParallelText

from .draw import Draw, Pair

TRAIN, VAL, TEST = 36_000, 500, 1_000
SEEN = 5
HELD_OUT_SHARE = 0.03
MOST_WORDS = 16
Pattern = Callable[[Draw], tuple[str, str]]


@cache
def is_held_out(seed: int, bond: tuple[str, str, str]) -> bool:
    """True for a few per cent of the bonds; a hash, so that it depends on nothing but the seed and the words."""
    digest = sha256(f"{seed}/{'/'.join(bond)}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def stream(patterns: dict[Pattern, int], seed: int) -> Iterator[Pair]:
    """Sentence pairs without end, as the patterns' weights have it; repetitions included."""
    d = Draw(seed)
    wheel = [pattern for pattern, weight in patterns.items() for _ in range(weight)]
    while True:
        d.bonds = []
        foreign, english = d.pick(wheel)(d)
        if english.count(" ") < MOST_WORDS and foreign.count(" ") < MOST_WORDS:
            yield Pair(foreign, english, tuple(d.bonds))


def words(text: str) -> list[str]:
    """Words, numbers and marks; each Chinese character is a word of its own."""
    return findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+|[^\w\s]", text)


def split(patterns: dict[Pattern, int], seed: int) -> tuple[ParallelText, ParallelText, ParallelText]:
    """(train, val, test), each (foreign, English), disjoint by source and by target.

    Every word of val and test occurs at least ``SEEN`` times in train.
    """
    ordinary: list[Pair] = []
    unseen: list[Pair] = []
    known: tuple[set[str], set[str]] = (set(), set())
    for pair in stream(patterns, seed):
        if pair.foreign in known[0] or pair.english in known[1]:
            continue
        known[0].add(pair.foreign)
        known[1].add(pair.english)
        (unseen if any(is_held_out(seed, bond) for bond in pair.bonds) else ordinary).append(pair)
        if len(ordinary) >= TRAIN + 2 * (VAL + TEST) and len(unseen) >= 2 * TEST:
            break
    return _choose(ordinary, unseen)


def _choose(ordinary: list[Pair], unseen: list[Pair]) -> tuple[ParallelText, ParallelText, ParallelText]:
    train = ordinary[:TRAIN]
    foreign = _frequent(pair.foreign for pair in train)
    english = _frequent(pair.english for pair in train)

    def readable(pair: Pair) -> bool:
        return foreign.issuperset(words(pair.foreign)) and english.issuperset(words(pair.english))

    rest = [pair for pair in ordinary[TRAIN:] if readable(pair)]
    novel = [pair for pair in unseen if readable(pair)][: TEST // 2]
    val, familiar = rest[:VAL], rest[VAL : VAL + TEST - len(novel)]
    return _text(train), _text(val), _text(novel + familiar)


def _frequent(sentences: Iterable[str]) -> set[str]:
    counts = Counter(word for sentence in sentences for word in words(sentence))
    return {word for word, count in counts.items() if count >= SEEN}


def _text(pairs: list[Pair]) -> ParallelText:
    return ParallelText([pair.foreign for pair in pairs], [pair.english for pair in pairs])
