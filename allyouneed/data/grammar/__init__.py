"""The embedded corpus: German-English and Chinese-English sentences from a seeded grammar written for this package.

It exists so that a translator can be trained offline anywhere within minutes. It is a grammar, not language: a few
hundred words, several dozen patterns, one translation for each sentence. A score on it says that a model works, and
says nothing about how well it would translate real text.
"""

from allyouneed.data.parallel import Corpus, ParallelText
from allyouneed.errors import UserError

from . import chinese_facts, chinese_sentences, german_facts, german_sentences, german_things
from .corpus import Pattern, split

PATTERNS: dict[str, dict[Pattern, int]] = {
    "de": german_sentences.PATTERNS | german_facts.PATTERNS | german_things.PATTERNS,
    "zh": chinese_sentences.PATTERNS | chinese_facts.PATTERNS,
}
PAIRS = ("de-en", "en-de", "zh-en", "en-zh")


def generate(pair: str = "de-en", seed: int = 1) -> Corpus:
    """36,000 training pairs, 500 for validation, 1,000 in the one test set ``test``; a function of pair and seed.

    ``pair`` is one of ``PAIRS``; a reversed pair is the same corpus mirrored. Each source has one target and each
    target one source. No sentence stands in two splits, and half of the test set combines words (a verb and its
    object, a person and a place, a thing and its price ...) that never meet in train or val, though each word alone
    occurs in train, five times or more. UserError for an unknown pair. These scores say nothing about real language.
    """
    if pair not in PAIRS:
        raise UserError(f"The embedded corpus has no pair {pair!r}; choose one of {', '.join(PAIRS)}.")
    source, target = pair.split("-")
    foreign = target if source == "en" else source
    train, val, test = split(PATTERNS[foreign], seed)
    if source == "en":
        train, val, test = (ParallelText(text.target, text.source) for text in (train, val, test))
    return Corpus(train, val, {"test": test}, source, target)
