"""English, the target (or source) of every pair: articles, plurals, verb forms, word order.

English keeps subject, verb, object, place, time; only questions swap. ``tense`` is one of ``TENSES`` everywhere:
now (is buying), habit (buys), past (bought), future (will buy), and six helpers (can, want, must, may, should).
Persons are 0 I, 1 you, 2 he/she/one thing, 3 we, 4 several.
"""

from functools import cache
from typing import NamedTuple

TENSES = ["now", "habit", "past", "future", "can", "want", "must", "may", "should"]
BE = ("am", "are", "is", "are", "are")
WAS = ("was", "were", "was", "were", "were")
MODALS = {"future": "will", "can": "can", "may": "may", "should": "should"}
PLURALS = {"child": "children", "man": "men", "woman": "women", "knife": "knives", "scarf": "scarves", "mouse": "mice"}


class EnglishVerb(NamedTuple):
    """A verb with its particle: look for, looked for, looking for."""

    base: str
    past: str
    gerund: str


def join(*words: str) -> str:
    """Words with one space between them; empty ones vanish."""
    return " ".join(filter(None, words))


def sentence(text: str, mark: str = ".") -> str:
    """Capital letter in front, mark behind."""
    return text[0].upper() + text[1:] + mark


def article(phrase: str) -> str:
    """a or an by the sound of the next word; the lexicon has no silent h and no "university"."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


@cache
def plural(noun: str) -> str:
    """The last word of the noun in the plural."""
    head, space, last = noun.rpartition(" ")
    if last in PLURALS:
        return head + space + PLURALS[last]
    if last[-1] == "y" and last[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if last.endswith(("s", "sh", "ch", "x", "to")) else "s")


@cache
def third(base: str) -> str:
    """look for -> looks for, try -> tries, go -> goes, have -> has."""
    first, space, rest = base.partition(" ")
    if first == "have":
        first = "has"
    elif first[-1] == "y" and first[-2] not in "aeiou":
        first = first[:-1] + "ies"
    else:
        first += "es" if first.endswith(("s", "sh", "ch", "x", "o")) else "s"
    return first + space + rest


@cache
def verb_group(verb: EnglishVerb, tense: str, person: int) -> tuple[str, str, str]:
    """(auxiliary, what follows it, the single form without auxiliary or ""), e.g. (does, buy, buys)."""
    if tense == "now":
        return BE[person], verb.gerund, ""
    if tense == "past":
        return "did", verb.base, verb.past
    if tense in MODALS:
        return MODALS[tense], verb.base, ""
    base = {"want": "want to ", "must": "have to ", "habit": ""}[tense] + verb.base
    return ("does", base, third(base)) if person == 2 else ("do", base, base)


def statement(subject: str, person: int, verb: EnglishVerb, tense: str, rest: str, adverb: str = "") -> str:
    """An adverb of frequency stands before the verb: Anna often buys bread."""
    auxiliary, main, single = verb_group(verb, tense, person)
    return join(subject, adverb, single, rest) if single else join(subject, auxiliary, adverb, main, rest)


def negation(subject: str, person: int, verb: EnglishVerb, tense: str, rest: str) -> str:
    auxiliary, main, _ = verb_group(verb, tense, person)
    return join(subject, "cannot" if auxiliary == "can" else f"{auxiliary} not", main, rest)


def question(subject: str, person: int, verb: EnglishVerb, tense: str, rest: str, opening: str = "") -> str:
    """opening is a question word or nothing: (When) did Anna buy the bread."""
    auxiliary, main, _ = verb_group(verb, tense, person)
    return join(opening, auxiliary, subject, main, rest)
