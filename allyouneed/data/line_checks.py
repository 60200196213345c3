"""What may be wrong with lines of text: each check returns the indices, from 0, of the lines it finds."""

import re
from collections.abc import Iterable, Sequence
from statistics import median

from allyouneed.data.splits import sentence_key

RATIO_FACTOR = 3.0  # a pair is an outlier if its length ratio is this many times the median, or less than 1/this
SHORT_WORDS, SHORT_CHARACTERS = 5, 10  # the ratio of shorter sentences says nothing

# Scripts that write no spaces between words: Thai to Khmer, kana, Chinese characters.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)

# Bytes 0x80 to 0xBF as Windows-1252 or Latin-1 show them. UTF-8 that was read so has one after each
# lead letter. After a single lead letter, quotes and dashes do not count: honest text has them there.
_INNER = (
    "\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    "\u2022\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
)
_ANY = _INNER + "\u2018\u2019\u201c\u201d\u2013\u2014\u2026"
MOJIBAKE = re.compile(
    f"\u00c3[{_INNER}]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac[{_ANY}]"  # accents, signs, quotation marks
    f"|(?:[\u00d0\u00d1][{_ANY}]){{2}}"  # two Cyrillic letters
    f"|(?:[\u00e3-\u00e9][{_ANY}]{{2}}){{2}}"  # two Chinese characters
)
CONTROL = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff]")  # the tab is allowed


def empty(lines: Sequence[str]) -> list[int]:
    """Lines with nothing but white space."""
    return [i for i, line in enumerate(lines) if not line.strip()]


def replaced(lines: Sequence[str]) -> list[int]:
    """Lines with U+FFFD, which stands where some earlier program could not decode a character."""
    return [i for i, line in enumerate(lines) if "\ufffd" in line]


def control(lines: Sequence[str]) -> list[int]:
    """Lines with control characters, line separators other than \\n, or a byte order mark inside."""
    return [i for i, line in enumerate(lines) if CONTROL.search(line)]


def mojibake(lines: Sequence[str]) -> list[int]:
    """Lines that look like UTF-8 read as Windows-1252 or Latin-1 ("Ã¤" for "ä")."""
    return [i for i, line in enumerate(lines) if not line.isascii() and MOJIBAKE.search(line)]


def is_unspaced(lines: Sequence[str]) -> bool:
    """Whether most letters are of a script without spaces between words; read from up to 2,000 lines."""
    sample = "".join(lines[:: max(1, len(lines) // 2000)])
    letters = sum(character.isalpha() for character in sample)
    return 2 * len(UNSPACED.findall(sample)) > letters > 0


def lengths(lines: Sequence[str], unspaced: bool) -> list[int]:
    """Words per line, or characters without spaces for scripts that have none."""
    return [len("".join(words)) if unspaced else len(words) for words in (line.split() for line in lines)]


def ratio_outliers(source: Sequence[str], target: Sequence[str]) -> tuple[float, list[int]]:
    """The median of target length / source length, and the pairs far outside: most often a shifted line.

    Pairs with an empty side, or with both sides short, are left out.
    """
    sides = [(lengths(lines, is_unspaced(lines)), is_unspaced(lines)) for lines in (source, target)]
    shorts = [SHORT_CHARACTERS if unspaced else SHORT_WORDS for _, unspaced in sides]
    pairs = list(zip(sides[0][0], sides[1][0], strict=True))
    ratios = {i: b / a for i, (a, b) in enumerate(pairs) if a and b}
    if not ratios:
        return 1.0, []
    middle = median(ratios.values())
    far = [i for i, ratio in ratios.items() if not 1 / RATIO_FACTOR <= ratio / middle <= RATIO_FACTOR]
    return middle, [i for i in far if pairs[i][0] > shorts[0] or pairs[i][1] > shorts[1]]


def duplicates(source: Sequence[str], target: Sequence[str]) -> list[int]:
    """Pairs that stood before: both sides equal but for case, spaces and Unicode composition."""
    seen: set[tuple[str, str]] = set()
    found = []
    for i, pair in enumerate(zip(map(sentence_key, source), map(sentence_key, target), strict=True)):
        if pair in seen and any(pair):
            found.append(i)
        seen.add(pair)
    return found


def keys(lines: Iterable[str]) -> set[str]:
    """The distinct sentences among the lines, empty ones left out."""
    return set(map(sentence_key, lines)) - {""}


def overlap(lines: Sequence[str], train: set[str]) -> list[int]:
    """Lines of a held-out split whose sentence is among ``train``, the ``keys`` of the training lines."""
    return [i for i, key in enumerate(map(sentence_key, lines)) if key in train]
