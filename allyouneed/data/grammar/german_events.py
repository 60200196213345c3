"""What people do in the German-English grammar: verbs with their objects, places and companions."""

from typing import NamedTuple

from .draw import Draw
from .english import join
from .german import Adjective, Noun, Phrase, Verb, contract, declined, phrase
from .german_people import adjective, count, other_person, pronoun_for
from .german_words import (
    CITIES,
    DATIVE,
    DRINKING,
    GIVING,
    MEETING,
    MOVING,
    NOUN,
    PLACES,
    PUNCTUAL,
    SINGLE_VERB,
    STAYING,
    TOGETHER,
    TRANSITIVE,
    entries,
    verbs,
)

ACTION = (
    *("now", "now", "now", "habit", "habit", "habit", "past", "past", "past", "past"),
    *("future", "future", "can", "want", "must", "may", "should"),
)


class Event(NamedTuple):
    """What a clause says of its subject. ``negated`` is ``middle`` with nicht or kein in its place ("": not negated)."""

    verb: Verb
    pronoun: str  # an object that stands before the time
    middle: str  # what stands after the time
    negated: str
    english: str
    tenses: tuple[str, ...] = ACTION


class Place(NamedTuple):
    noun: Noun
    at: str  # the English preposition of rest: in the park, at the station, on the beach
    an: str  # the German one: im Park, am Bahnhof


TRANSITIVE_VERBS, PUNCTUAL_VERBS, MEETING_VERBS = verbs(TRANSITIVE), verbs(PUNCTUAL), verbs(MEETING)
DATIVE_VERBS, GIVING_VERBS, STAYING_VERBS = verbs(DATIVE), verbs(GIVING), verbs(STAYING)
MOVING_VERBS, DRINKING_VERBS = verbs(MOVING), verbs(DRINKING)
TOGETHER_VERBS = [verb for verb, _ in STAYING_VERBS if verb.prefix + verb.stem in TOGETHER]
PLACE = [Place(Noun(word, gender, "-", english), at, an) for word, gender, english, at, an in entries(PLACES)]
PLACE_ADJECTIVES = (Adjective("alt", "old"), Adjective("neu", "new"), Adjective("klein", "small"))


def infinitive(verb: Verb) -> str:
    return verb.prefix + verb.stem


def rest_at(d: Draw, who: Phrase) -> tuple[str, str]:
    """im Park, in the park."""
    place = d.pick(PLACE)
    d.bond("place", who.key, place.noun.english)
    described = d.pick(PLACE_ADJECTIVES) if d.chance(0.15) else None
    german = contract(f"{place.an} {declined('der', described, place.noun, 'dat')}")
    return german, join(place.at, "the", described.english if described else "", place.noun.english)


def way_to(d: Draw, who: Phrase) -> tuple[str, str]:
    """in den Park, to the park; zum Bahnhof, to the station; nach Wien, to Vienna."""
    place = d.pick(PLACE)
    d.bond("place", who.key, place.noun.english)
    described = d.pick(PLACE_ADJECTIVES) if d.chance(0.15) else None
    english = join("to the", described.english if described else "", place.noun.english)
    if place.an == "an":
        return contract(f"zu {declined('der', described, place.noun, 'dat')}"), english
    return contract(f"in {declined('der', described, place.noun, 'acc')}"), english


def thing(d: Draw, groups: tuple[str, ...], owner: str = "") -> tuple[Phrase, str, Noun]:
    """A noun phrase, the same with kein ("" if definite), and its noun. ``owner`` is a possessive or nothing."""
    group = d.pick(groups)
    noun, described = d.pick(NOUN[group]), adjective(d, group, 0.35)
    kind = d.random()
    if kind < 0.35:
        return phrase("ein", described, noun), phrase("kein", described, noun).acc, noun
    if kind < 0.5 and owner and group not in ("people", "food"):
        return phrase(owner, described, noun), "", noun
    if kind < 0.62:
        return phrase("dieser", described, noun), "", noun
    if kind < 0.72:
        return phrase("der", described, noun, "p"), "", noun
    return phrase("der", described, noun), "", noun


def several(d: Draw, group: str) -> Phrase:
    """drei rote Äpfel."""
    german, english = count(d, 2, 20 if d.chance(0.2) else 6)
    return phrase(german, adjective(d, group, 0.4), d.pick(NOUN[group]), "p", english)


def acting(d: Draw, who: Phrase) -> Event:
    """A transitive verb and its object, at times with a place: im Park einen Hund füttern."""
    table = PUNCTUAL_VERBS if d.chance(0.2) else TRANSITIVE_VERBS
    verb, groups = d.pick(table)
    tenses = ("past",) if table is PUNCTUAL_VERBS else ACTION
    if d.chance(0.12):
        found = several(d, d.pick(groups))
        d.bond("object", infinitive(verb), found.key)
        return Event(verb, "", found.acc, "", found.english, tenses)
    what, without, noun = thing(d, groups, who.own)
    d.bond("object", infinitive(verb), noun.english)
    where, english = rest_at(d, who) if d.chance(0.2) else ("", "")
    english = join(what.english_object, english)
    if without:
        return Event(verb, "", join(where, what.acc), join(where, without), english, tenses)
    return Event(verb, "", join(what.acc, where), join(what.acc, "nicht", where), english, tenses)


def drinking(d: Draw, who: Phrase) -> Event:
    """kalten Tee trinken: no article, so the adjective carries the case."""
    verb, _ = d.pick(DRINKING_VERBS)
    drink, described = d.pick(NOUN["drink"]), adjective(d, "drink", 0.5)
    d.bond("object", infinitive(verb), drink.english)
    what = phrase("", described, drink)
    return Event(verb, "", what.acc, declined("kein", described, drink, "acc"), what.english)


def meeting(d: Draw, who: Phrase) -> Event:
    verb, _ = d.pick(MEETING_VERBS)
    if d.chance(0.25):
        whom = pronoun_for(d, who)
        return Event(verb, whom.acc, "", "nicht", whom.english_object)
    whom = other_person(d, who)
    d.bond("meet", infinitive(verb), whom.key)
    return Event(verb, "", whom.acc, f"{whom.acc} nicht", whom.english)


def helping(d: Draw, who: Phrase) -> Event:
    """Verbs that take the dative where English has a plain object."""
    verb, _ = d.pick(DATIVE_VERBS)
    if d.chance(0.25):
        whom = pronoun_for(d, who)
        return Event(verb, whom.dat, "", "nicht", whom.english_object)
    whom = other_person(d, who)
    d.bond("meet", infinitive(verb), whom.key)
    return Event(verb, "", whom.dat, f"{whom.dat} nicht", whom.english)


def giving(d: Draw, who: Phrase) -> Event:
    """dem Kind einen Apfel geben, give the child an apple."""
    verb, groups = d.pick(GIVING_VERBS)
    what, without, noun = thing(d, groups, who.own)
    d.bond("object", infinitive(verb), noun.english)
    whom = other_person(d, who) if d.chance(0.75) else pronoun_for(d, who)
    before, after = ("", whom.dat) if whom.key not in ("I", "you", "he", "we") else (whom.dat, "")
    negated = join(after, without) if without else join(after, what.acc, "nicht")
    return Event(verb, before, join(after, what.acc), negated, join(whom.english_object, what.english))


def staying(d: Draw, who: Phrase) -> Event:
    verb, _ = d.pick(STAYING_VERBS)
    where, english = rest_at(d, who)
    return Event(verb, "", where, f"nicht {where}", english)


def together(d: Draw, who: Phrase) -> Event:
    verb, whom = d.pick(TOGETHER_VERBS), other_person(d, who)
    d.bond("meet", infinitive(verb), whom.key)
    german, english = f"mit {whom.dat}", f"with {whom.english}"
    if d.chance(0.2):
        where, place = rest_at(d, who)
        german, english = f"{german} {where}", f"{english} {place}"
    return Event(verb, "", german, f"nicht {german}", english)


def moving(d: Draw, who: Phrase) -> Event:
    if d.chance(0.3):
        city = d.pick(tuple(CITIES))
        d.bond("place", who.key, city)
        verb = d.pick((SINGLE_VERB["fliegen"], MOVING_VERBS[1][0]))
        return Event(verb, "", f"nach {city}", f"nicht nach {city}", f"to {CITIES[city]}")
    verb, _ = d.pick(MOVING_VERBS)
    where, english = way_to(d, who)
    return Event(verb, "", where, f"nicht {where}", english)


EVENTS = (
    acting,
    acting,
    acting,
    acting,
    drinking,
    meeting,
    meeting,
    helping,
    giving,
    giving,
    staying,
    staying,
    together,
    moving,
)


def event(d: Draw, who: Phrase) -> Event:
    return d.pick(EVENTS)(d, who)
