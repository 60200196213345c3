"""Exact match and F1 of answers, as SQuAD's own script counts them (Rajpurkar et al. 2016, section 6.1)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Lower case, without punctuation, articles and more than single spaces."""
    bare = re.sub(r"\b(a|an|the)\b", " ", answer.lower().translate(PUNCTUATION))
    return " ".join(bare.split())


def exact(found: str, true: str) -> float:
    return float(normalised(found) == normalised(true))


def f1(found: str, true: str) -> float:
    """Of words, how often each occurs counted; where one of the two has none, 1 if both have none."""
    one, other = normalised(found).split(), normalised(true).split()
    common = sum((Counter(one) & Counter(other)).values())
    if not one or not other:
        return float(one == other)
    return 2 * common / (len(one) + len(other))


def answer_scores(found: Sequence[str], true: Sequence[Sequence[str]]) -> dict[str, float]:
    """Means over questions of the best score against any of the true answers; a question without one wants none."""
    wanted = [tuple(answers) or ("",) for answers in true]
    pairs = list(zip(found, wanted, strict=True))
    count = max(len(pairs), 1)
    return {
        "exact_match": sum(max(exact(one, answer) for answer in answers) for one, answers in pairs) / count,
        "f1": sum(max(f1(one, answer) for answer in answers) for one, answers in pairs) / count,
    }
