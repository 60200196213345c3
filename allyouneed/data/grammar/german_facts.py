"""Numbers at work in the German-English grammar: ages, prices, clock times, dates."""

from collections.abc import Callable

from . import english
from .draw import Draw
from .english import BE, sentence
from .german import AUXILIARIES, Phrase, phrase, present, subject_first, verb_group
from .german_people import adjective, clock, day_and_month, somebody, subject, weekday
from .german_words import CITIES, NOUN, SINGLE_VERB
from .numbers import english_number, german_number
from .times import (
    ENGLISH_DAYS,
    ENGLISH_MONTHS,
    GERMAN_DAYS,
    GERMAN_MONTHS,
    MINUTES,
    english_clock,
    english_date,
    english_price,
    german_clock,
    german_date,
    german_price,
)

Sentence = tuple[str, str]
SHOWS = (
    "der Film/the film; das Konzert/the concert; der Unterricht/the lesson; das Spiel/the game; die Sitzung/the meeting"
)
YOUNG = {"child", "girl", "boy", "son", "daughter"}
KIDS, ADULTS, ELDERS = (3, 18), (19, 75), (60, 99)
CENTS = (0, 0, 10, 20, 30, 40, 50, 50, 60, 70, 80, 90)


def shop_item(d: Draw) -> Phrase:
    """Something with a price tag: der rote Hut, diese Lampe."""
    group = d.pick(("food", "book", "clothes", "thing"))
    word, number = d.pick((("der", "s"), ("der", "s"), ("dieser", "s"), ("der", "p"), ("dieser", "p")))
    return phrase(word, adjective(d, group, 0.5), d.pick(NOUN[group]), number)


def price(d: Draw) -> Sentence:
    what = shop_item(d)
    if d.chance(0.12):
        verb = "does" if what.person == 2 else "do"
        german = f"wie viel {present(SINGLE_VERB['kosten'], what.person)} {what.nom}"
        return sentence(german, "?"), sentence(f"how much {verb} {what.english} cost", "?")
    euros, cents = d.between(1, 99), d.pick(CENTS)
    d.bond("price", what.key, str(euros))
    verb = "costs" if what.person == 2 else "cost"
    return (
        sentence(f"{what.nom} {present(SINGLE_VERB['kosten'], what.person)} {german_price(euros, cents)}"),
        sentence(f"{what.english} {verb} {english_price(euros, cents)}"),
    )


def age(d: Draw) -> Sentence:
    who = subject(d)
    if d.chance(0.1):
        return sentence(f"wie alt {AUXILIARIES['sein'][who.person]} {who.nom}", "?"), sentence(
            f"how old {BE[who.person]} {who.english}", "?"
        )
    number = d.between(*(KIDS if who.key in YOUNG else ELDERS if who.key.startswith("grand") else ADULTS))
    d.bond("age", who.key, str(number))
    return (
        sentence(f"{who.nom} {AUXILIARIES['sein'][who.person]} {german_number(number)} Jahre alt"),
        sentence(f"{who.english} {BE[who.person]} {english_number(number)} years old"),
    )


def pages(d: Draw) -> Sentence:
    number = 50 * d.between(2, 19)
    what = phrase(
        d.pick(("der", "dieser", "mein", "dein")),
        adjective(d, "book", 0.4),
        d.pick([noun for noun in NOUN["book"] if noun.english not in ("letter", "poem")]),
    )
    d.bond("pages", what.key, str(number))
    return sentence(f"{what.nom} hat {german_number(number)} Seiten"), sentence(
        f"{what.english} has {english_number(number)} pages"
    )


def duration(d: Draw) -> Sentence:
    german, words = d.pick(SHOWS.split("; ")).split("/")
    hours, minutes = d.between(2, 4), 5 * d.between(1, 11)
    if d.chance(0.2):
        return sentence(f"{german} dauert {german_number(minutes)} Minuten"), sentence(
            f"{words} lasts {english_number(minutes)} minutes"
        )
    return (
        sentence(f"{german} dauert {german_number(hours)} Stunden und {german_number(minutes)} Minuten"),
        sentence(f"{words} lasts {english_number(hours)} hours and {english_number(minutes)} minutes"),
    )


def what_time(d: Draw) -> Sentence:
    """Es ist halb drei: few sentences, which the corpus holds once each."""
    hour, minute = d.between(1, 12), d.pick(MINUTES)
    d.bond("clock", str(hour), str(minute))
    return sentence(f"es ist {german_clock(hour, minute)}"), sentence(f"it is {english_clock(hour, minute)}")


def show(d: Draw) -> Sentence:
    """Das Konzert beginnt am Montag um halb drei."""
    german, words = d.pick(SHOWS.split("; ")).split("/")
    day, moment = weekday(d), clock(d)
    if d.chance(0.3):
        return sentence(f"{day.german} beginnt {german} {moment.german}"), sentence(
            f"{day.english} {words} begins {moment.english}"
        )
    return sentence(f"{german} beginnt {day.german} {moment.german}"), sentence(
        f"{words} begins {day.english} {moment.english}"
    )


def train(d: Draw) -> Sentence:
    """Der Zug nach Wien fährt um halb drei ab. Der Zug aus Wien kommt um halb drei an."""
    city, moment = d.pick(tuple(CITIES)), clock(d)
    hour = moment.english.rpartition(" ")[2]
    d.bond("train", city, hour)
    if d.chance(0.5):
        return sentence(f"der Zug nach {city} fährt {moment.german} ab"), sentence(
            f"the train to {CITIES[city]} leaves {moment.english}"
        )
    return sentence(f"der Zug aus {city} kommt {moment.german} an"), sentence(
        f"the train from {CITIES[city]} arrives {moment.english}"
    )


def rising(d: Draw) -> Sentence:
    """Anna steht jeden Tag um sieben Uhr auf; time before time of day in German, the other way round in English."""
    who, moment = subject(d), clock(d)
    verb = SINGLE_VERB["aufstehen"]
    tense, day, words = d.pick((("habit", "jeden Tag", "every day"), ("past", "gestern", "yesterday"),
                                ("must", "morgen", "tomorrow"), ("want", "am Sonntag", "on Sunday")))  # fmt: skip
    german = subject_first(who.nom, verb_group(verb, tense, who.person), day, moment.german)
    text = english.statement(who.english, who.person, verb.english, tense, f"{moment.english} {words}")
    return sentence(german), sentence(text)


def today(d: Draw) -> Sentence:
    """Heute ist Montag, der dritte Mai."""
    day, month = day_and_month(d)
    opening, words = d.pick(
        (("heute ist", "today is"), ("morgen ist", "tomorrow is"), ("gestern war", "yesterday was"))
    )
    german, text = f"der {german_date(day, month, 'e')}", english_date(day, month)
    if d.chance(0.6):
        index = d.between(0, 6)
        german, text = f"{GERMAN_DAYS[index]}, {german}", f"{ENGLISH_DAYS[index]}, {text}"
    return sentence(f"{opening} {german}"), sentence(f"{words} {text}")


def birthday(d: Draw) -> Sentence:
    """Anna hat am dritten Mai Geburtstag, Anna's birthday is on the third of May."""
    who = somebody(d)
    day, month = day_and_month(d)
    d.bond("birthday", who.key, str(day))
    return sentence(f"{who.nom} hat am {german_date(day, month, 'en')} Geburtstag"), sentence(
        f"{who.english}'s birthday is on {english_date(day, month)}"
    )


def born(d: Draw) -> Sentence:
    who = somebody(d)
    while who.key in YOUNG or who.key.startswith("grand"):
        who = somebody(d)
    (day, month), year = day_and_month(d), d.between(1970, 1999)
    d.bond("born", who.key, str(year))
    return (
        sentence(f"{who.nom} wurde am {day}. {GERMAN_MONTHS[month - 1]} {year} geboren"),
        sentence(f"{who.english} was born on {day} {ENGLISH_MONTHS[month - 1]} {year}"),
    )


PATTERNS: dict[Callable[[Draw], Sentence], int] = {
    price: 6, age: 5, pages: 1, duration: 1, what_time: 1, show: 3, train: 3, rising: 3, today: 2, birthday: 3, born: 3,
}  # fmt: skip
