"""German: declension, conjugation and the places of the verb.

Gender is m, f, n, or p for any plural; case is nom, acc or dat. Persons are those of english.py.
Adjectives take the weak ending after der and dieser, the mixed one after ein, kein and possessives, and the strong one
after nothing or a number.
"""

from functools import cache
from typing import NamedTuple

from .english import EnglishVerb, article, join, plural

STRONG = {
    "nom": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
DER = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
}
EIN_WORDS = {"ein": "a", "kein": "a", "mein": "my", "dein": "your", "sein": "his", "ihr": "her", "unser": "our"}
AUXILIARIES = {
    "haben": ("habe", "hast", "hat", "haben", "haben"),
    "sein": ("bin", "bist", "ist", "sind", "sind"),
    "was": ("war", "warst", "war", "waren", "waren"),
    "future": ("werde", "wirst", "wird", "werden", "werden"),
    "can": ("kann", "kannst", "kann", "können", "können"),
    "want": ("will", "willst", "will", "wollen", "wollen"),
    "must": ("muss", "musst", "muss", "müssen", "müssen"),
    "may": ("darf", "darfst", "darf", "dürfen", "dürfen"),
    "should": ("soll", "sollst", "soll", "sollen", "sollen"),
    "like": ("mag", "magst", "mag", "mögen", "mögen"),
}
CONTRACTIONS = {
    "in dem": "im", "in das": "ins", "an dem": "am", "zu dem": "zum", "zu der": "zur", "von dem": "vom",
}  # fmt: skip


class Noun(NamedTuple):
    """oblique is the singular outside the nominative where it differs (der Junge, den Jungen), else ""."""

    german: str
    gender: str
    plural: str
    english: str
    oblique: str = ""


class Adjective(NamedTuple):
    german: str
    english: str


class Phrase(NamedTuple):
    """Something that can be subject or object: three cases, two English forms (he, him), person, its possessive."""

    nom: str
    acc: str
    dat: str
    english: str
    english_object: str
    person: int
    own: str
    key: str


class Verb(NamedTuple):
    """prefix is the separable part (an in anrufen); stem is the infinitive without it; er the third person."""

    prefix: str
    stem: str
    er: str
    participle: str
    auxiliary: str
    english: EnglishVerb


def determiner(word: str, case: str, gender: str) -> str:
    """der, dieser, ein, kein and possessives in agreement; anything else (a number, nothing) stays as it is."""
    if word == "der":
        return DER[case][gender]
    if word == "dieser":
        return "dies" + STRONG[case][gender]
    if word not in EIN_WORDS:
        return word
    bare = (case, gender) in {("nom", "m"), ("nom", "n"), ("acc", "n")}
    return word + ("" if bare else STRONG[case][gender])


def adjective_ending(word: str, case: str, gender: str) -> str:
    """The ending of an adjective after the determiner ``word``."""
    if word in ("der", "dieser"):
        weak_e = gender != "p" and (case == "nom" or (case == "acc" and gender != "m"))
        return "e" if weak_e else "en"
    if word in EIN_WORDS and (case == "dat" or gender == "p"):
        return "en"
    return STRONG[case][gender]


def noun_form(noun: Noun, case: str, number: str) -> str:
    """The noun in the singular ("s") or plural ("p"); the dative plural takes -n unless it ends in n or s."""
    if number == "p":
        return noun.plural + ("n" if case == "dat" and noun.plural[-1] not in "ns" else "")
    return noun.oblique if noun.oblique and case != "nom" else noun.german


@cache
def declined(word: str, adjective: Adjective | None, noun: Noun, case: str, number: str = "s") -> str:
    """("der", rot, Apfel, "acc") -> den roten Apfel."""
    gender = "p" if number == "p" else noun.gender
    described = adjective.german.removesuffix("e") + adjective_ending(word, case, gender) if adjective else ""
    return join(determiner(word, case, gender), described, noun_form(noun, case, number))


@cache
def phrase(word: str, adjective: Adjective | None, noun: Noun, number: str = "s", count: str = "") -> Phrase:
    """All cases of a noun phrase and its English; ``count`` is the English of a number used as determiner."""
    nom, acc, dat = (declined(word, adjective, noun, case, number) for case in ("nom", "acc", "dat"))
    described = join(adjective.english if adjective else "", plural(noun.english) if number == "p" else noun.english)
    words = {**EIN_WORDS, "der": "the", "dieser": "these" if number == "p" else "this", "": ""}
    english = join(count or words[word], described)
    if word in ("ein", "kein") and number == "s":
        english = article(described)
    own = {"m": "sein", "f": "ihr"}.get(noun.gender, "") if number == "s" else ""
    return Phrase(nom, acc, dat, english, english, 4 if number == "p" else 2, own, noun.english)


def contract(text: str) -> str:
    """in dem Park -> im Park."""
    first, second, rest = text.split(" ", 2)
    return f"{CONTRACTIONS.get(f'{first} {second}', f'{first} {second}')} {rest}"


@cache
def present(verb: Verb, person: int) -> str:
    """The present without prefix; the du-form follows the er-form (liest, liest; wäscht, wäschst)."""
    if person >= 3:
        return verb.stem
    if person == 0:
        return verb.stem[:-1] + ("e" if verb.stem.endswith("ern") else "")  # füttern, ich füttere
    if person == 2:
        return verb.er
    base = verb.er[:-1]
    return base + ("t" if base[-1] in "sßz" else "st")


@cache
def verb_group(verb: Verb, tense: str, person: int) -> tuple[str, str]:
    """(finite verb, what stands at the end): (ruft, an), (hat, angerufen), (will, anrufen)."""
    if tense in ("now", "habit"):
        return present(verb, person), verb.prefix
    if tense == "past":
        return AUXILIARIES[verb.auxiliary][person], verb.participle
    return AUXILIARIES[tense][person], verb.prefix + verb.stem


def main_clause(front: str, subject: str, group: tuple[str, str], *middle: str) -> str:
    """Verb second: (gestern) hat Anna das Buch gelesen; front is "" for a yes-no question, the subject moves behind."""
    return join(front, group[0], subject, *middle, group[1])


def subject_first(subject: str, group: tuple[str, str], *middle: str) -> str:
    return join(subject, group[0], *middle, group[1])


def sub_clause(subject: str, group: tuple[str, str], tense: str, *middle: str) -> str:
    """Verb last: weil Anna das Buch gelesen hat; a prefix grows back onto its verb: weil er mich anruft."""
    finite, end = group
    last = end + finite if tense in ("now", "habit") else join(end, finite)
    return join(subject, *middle, last)
