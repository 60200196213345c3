"""Who and when in the German-English grammar: subjects, objects and time phrases, in both languages at once."""

from typing import NamedTuple

from .draw import Draw
from .german import Adjective, Noun, Phrase, phrase
from .german_words import ADJECTIVE, NAMES, NOUN, PRONOUNS
from .numbers import english_number, german_number
from .times import (
    ENGLISH_DAYS,
    GERMAN_DAYS,
    MINUTES,
    MONTH_LENGTHS,
    english_clock,
    english_date,
    german_clock,
    german_date,
)

FIXED_TIMES = {
    "now": ("heute/today", "jetzt/now", "im Moment/at the moment", "heute Abend/this evening"),
    "habit": (
        *("jeden Tag/every day", "jeden Morgen/every morning", "jeden Abend/every evening", "jede Woche/every week"),
        *("im Sommer/in summer", "im Winter/in winter", "am Wochenende/at the weekend"),
        *(f"{german.lower()}s/on {english}s" for german, english in zip(GERMAN_DAYS, ENGLISH_DAYS)),
    ),
    "past": (
        *("gestern/yesterday", "gestern Abend/yesterday evening", "heute Morgen/this morning"),
        *("letzte Woche/last week", "letzten Monat/last month", "letztes Jahr/last year"),
    ),
    "future": (
        *("morgen/tomorrow", "morgen Abend/tomorrow evening", "nächste Woche/next week"),
        *("nächsten Monat/next month", "nächstes Jahr/next year"),
    ),
}
UNITS = ("Stunden hour", "Tagen day", "Wochen week", "Monaten month", "Jahren year")


class Time(NamedTuple):
    german: str
    english: str


def adjective(d: Draw, group: str, probability: float) -> Adjective | None:
    return d.pick(ADJECTIVE[group]) if group in ADJECTIVE and d.chance(probability) else None


def relative_of(name: Phrase, noun: Noun) -> Phrase:
    """Annas Bruder, Anna's brother: the genitive of a name stands in front and needs no article in any case."""
    german, english = f"{name.nom}s", f"{name.english}'s {noun.english}"
    own = {"m": "sein", "f": "ihr"}[noun.gender]
    forms = (
        f"{german} {noun.german}",
        f"{german} {noun.oblique or noun.german}",
        f"{german} {noun.oblique or noun.german}",
    )
    return Phrase(*forms, english, english, 2, own, noun.english)


def somebody(d: Draw) -> Phrase:
    """A single third person who is no pronoun."""
    kind = d.random()
    if kind < 0.35:
        return d.pick(NAMES)
    if kind < 0.7:
        return phrase("der", adjective(d, "people", 0.3), d.pick(NOUN["people"]))
    if kind < 0.9:
        return phrase(d.pick(("mein", "mein", "dein", "unser")), None, d.pick(NOUN["family"]))
    return relative_of(d.pick(NAMES), d.pick(NOUN["family"]))


def subject(d: Draw) -> Phrase:
    """Anybody: a pronoun, several people, a stranger or somebody known."""
    kind = d.random()
    if kind < 0.38:
        return d.pick(PRONOUNS)
    if kind < 0.45:
        return phrase("der", adjective(d, "people", 0.3), d.pick(NOUN["people"]), "p")
    if kind < 0.5:
        return phrase("ein", adjective(d, "people", 0.6), d.pick(NOUN["people"]))
    return somebody(d)


def other_person(d: Draw, who: Phrase) -> Phrase:
    """Somebody else than the subject: for the sake of sense no one helps himself here."""
    if who.own and d.chance(0.25):
        return phrase(who.own, None, d.pick(NOUN["family"]))
    while True:
        found = somebody(d)
        if found.key != who.key:
            return found


def pronoun_for(d: Draw, who: Phrase) -> Phrase:
    """An object pronoun that cannot point back at the subject: me, you, us for others; him and her for I, you, we."""
    third = who.person in (2, 4)
    return d.pick([p for p in PRONOUNS if (p.person != 2) == third and p.nom != "sie"])


def owner_pronoun(who: Phrase) -> Phrase:
    """What a later clause calls the subject: er, sie, or the pronoun itself."""
    return next(p for p in PRONOUNS if p.own == who.own)


def weekday(d: Draw) -> Time:
    day = d.between(0, 6)
    return Time(f"am {GERMAN_DAYS[day]}", f"on {ENGLISH_DAYS[day]}")


def day_and_month(d: Draw) -> tuple[int, int]:
    month = d.between(1, 12)
    return d.between(1, MONTH_LENGTHS[month - 1]), month


def date(d: Draw) -> Time:
    day, month = day_and_month(d)
    return Time(f"am {german_date(day, month, 'en')}", f"on {english_date(day, month)}")


def clock(d: Draw) -> Time:
    hour, minute = d.between(1, 12), d.pick(MINUTES)
    d.bond("clock", str(hour), str(minute))
    return Time(f"um {german_clock(hour, minute)}", f"at {english_clock(hour, minute)}")


def count(d: Draw, low: int, high: int) -> tuple[str, str]:
    number = d.between(low, high)
    return german_number(number), english_number(number)


def distance(d: Draw, tense: str) -> Time:
    """vor zwei Tagen, in zwei Tagen: both take the dative."""
    plural, english = d.pick(UNITS).split()
    german_count, english_count = count(d, 2, 6)
    german = f"{german_count} {plural}"
    words = f"{english_count} {english}s"
    return Time(f"vor {german}", f"{words} ago") if tense == "past" else Time(f"in {german}", f"in {words}")


def time(d: Draw, tense: str) -> Time:
    """A time that suits the tense; each belongs to one tense or to several where English does not change."""
    moment = tense not in ("now", "habit")
    kind = d.random()
    if moment and kind < 0.15:
        return weekday(d)
    if moment and kind < 0.27:
        return clock(d)
    if moment and kind < 0.37:
        return date(d)
    if tense in ("past", "future") and kind < 0.5:
        return distance(d, tense)
    table = FIXED_TIMES.get(tense, FIXED_TIMES["future"])
    return Time(*d.pick(table).split("/"))
