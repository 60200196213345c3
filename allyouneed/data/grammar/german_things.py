"""How things are in the German-English grammar: homes, professions, comparisons, positions, possessions, feelings."""

from collections.abc import Callable

from . import english
from .draw import Draw
from .english import BE, WAS, join, sentence, third
from .german import AUXILIARIES, Phrase, declined, main_clause, phrase, present
from .german_events import rest_at, several, thing
from .german_people import adjective, other_person, somebody, subject
from .german_words import ADJECTIVE, CITIES, NOUN, PERSONS_COMPARED, SINGLE_VERB, STATIVE, THINGS_COMPARED, verbs

Sentence = tuple[str, str]
STATIVE_VERBS = verbs(STATIVE)
FURNITURE = [noun for noun in NOUN["thing"] + NOUN["opening"] if noun.english in ("table", "chair", "cupboard", "bag")]
LYING = [noun for group in ("book", "clothes", "food") for noun in NOUN[group]]
STANDING = [noun for noun in NOUN["thing"] if noun.english in ("suitcase", "lamp", "bottle", "computer", "guitar")]
SPOTS = {"auf": "on", "unter": "under", "hinter": "behind", "neben": "next to", "vor": "in front of"}
PROFESSIONS = {
    "sein": [
        noun
        for noun in NOUN["people"]
        if noun.gender == "m" and noun.english not in ("man", "guest", "boy", "neighbour")
    ],
    "ihr": [noun for noun in NOUN["people"] if noun.gender == "f" and noun.english != "woman"],
}
GROUPS = ("clothes", "thing", "machine", "book", "animal")


def home(d: Draw) -> Sentence:
    """Anna wohnt in Berlin. Mein Bruder kommt aus Wien."""
    who, city = subject(d), d.pick(tuple(CITIES))
    d.bond("home", who.key, city)
    word, preposition, verb, words = d.pick((("wohnen", "in", "live", "in"), ("kommen", "aus", "come", "from")))
    finite = present(SINGLE_VERB[word], who.person)
    if d.chance(0.2):
        text = english.question(who.english, who.person, SINGLE_VERB[word].english, "habit", f"{words} {CITIES[city]}")
        return sentence(f"{finite} {who.nom} {preposition} {city}", "?"), sentence(text, "?")
    living = third(verb) if who.person == 2 else verb
    return sentence(f"{who.nom} {finite} {preposition} {city}"), sentence(
        f"{who.english} {living} {words} {CITIES[city]}"
    )


def profession(d: Draw) -> Sentence:
    """Anna ist Lehrerin, Anna is a teacher: German names a profession without article."""
    who = somebody(d)
    while who.own not in PROFESSIONS or who.key in {noun.english for noun in NOUN["people"]}:
        who = somebody(d)
    noun = d.pick(PROFESSIONS[who.own])
    d.bond("profession", who.key, noun.english)
    work = english.article(noun.english)
    german, words = d.pick((
        (f"ist {noun.german}", f"is {work}"), (f"ist {noun.german}", f"is {work}"),
        (f"will {noun.german} werden", f"wants to become {work}"),
        (f"ist nicht {noun.german} geworden", f"did not become {work}"),
    ))  # fmt: skip
    return sentence(f"{who.nom} {german}"), sentence(f"{who.english} {words}")


def compared(d: Draw) -> Sentence:
    """Der Hund ist größer als die Katze."""
    if d.chance(0.3):
        german, words = d.pick(THINGS_COMPARED.split("; ")).split()
        nouns = NOUN[d.pick(("clothes", "machine", "thing", "animal"))]
        one, other = (phrase("der", None, d.pick(nouns)) for _ in range(2))
    else:
        german, words = d.pick(PERSONS_COMPARED.split("; ")).split()
        one = subject(d)
        other = other_person(d, one)
    if one.key == other.key:
        return compared(d)
    return (
        sentence(f"{one.nom} {AUXILIARIES['sein'][one.person]} {german} als {other.nom}"),
        sentence(f"{one.english} {BE[one.person]} {words} than {other.english}"),
    )


def there_is(d: Draw) -> Sentence:
    """In der Küche gibt es drei rote Stühle, there are three red chairs in the kitchen: es gibt takes the accusative."""
    where, place = rest_at(d, Phrase("es", "", "", "there", "", 2, "", "there"))
    group = d.pick(("thing", "machine", "animal", "opening", "people"))
    if d.chance(0.5):
        what, be = several(d, group), "are"
    else:
        what, be = phrase("ein", adjective(d, group, 0.5), d.pick(NOUN[group])), "is"
    return sentence(f"{where} gibt es {what.acc}"), sentence(f"there {be} {what.english} {place}")


def position(d: Draw) -> Sentence:
    """Das Buch liegt auf dem Tisch, der Koffer steht neben der Tür."""
    word, nouns = d.pick((("liegen", LYING), ("stehen", STANDING)))
    what = d.pick(nouns)
    group = next(group for group in NOUN if what in NOUN[group])
    thing_there = phrase(d.pick(("der", "mein", "dein", "dieser")), adjective(d, group, 0.4), what)
    support, spot = d.pick(FURNITURE), d.pick(tuple(SPOTS))
    d.bond("position", what.english, support.english)
    place = declined("der", None, support, "dat")
    verb = SINGLE_VERB[word]
    where = f"{SPOTS[spot]} the {support.english}"
    return (
        sentence(f"{thing_there.nom} {verb.er} {spot} {place}"),
        sentence(english.statement(thing_there.english, 2, verb.english, "now", where)),
    )


def belongs(d: Draw) -> Sentence:
    """Der rote Mantel gehört meiner Schwester."""
    group, whom = d.pick(GROUPS), somebody(d)
    noun = d.pick(NOUN[group])
    what = phrase(d.pick(("der", "der", "dieser")), adjective(d, group, 0.5), noun)
    d.bond("belongs", noun.english, whom.key)
    if d.chance(0.2):
        return sentence(f"{what.nom} gehört {whom.dat} nicht"), sentence(
            f"{what.english} does not belong to {whom.english}"
        )
    return sentence(f"{what.nom} gehört {whom.dat}"), sentence(f"{what.english} belongs to {whom.english}")


def this_is(d: Draw) -> Sentence:
    """Das ist mein neuer Mantel. Das sind unsere alten Stühle."""
    group, word = d.pick(GROUPS), d.pick(("mein", "dein", "sein", "ihr", "unser"))
    what = phrase(word, adjective(d, group, 0.7), d.pick(NOUN[group]), d.pick("ssp"))
    german, words = ("das sind", "these are") if what.person == 4 else ("das ist", "this is")
    return sentence(f"{german} {what.nom}"), sentence(f"{words} {what.english}")


def needing(d: Draw) -> Sentence:
    """States, in English never with -ing: Anna braucht einen neuen Mantel. Hast du einen Hund?"""
    who = subject(d)
    verb, groups = d.pick(STATIVE_VERBS)
    what, without, noun = thing(d, groups)
    if verb.stem == "haben" and not without:
        group = d.pick(groups)
        noun, described = d.pick(NOUN[group]), adjective(d, group, 0.5)
        what, without = phrase("ein", described, noun), phrase("kein", described, noun).acc
    d.bond("object", verb.stem, noun.english)
    finite, kind = present(verb, who.person), d.random()
    if kind < 0.25:
        german = f"{who.nom} {finite} {without or what.acc + ' nicht'}"
        return sentence(german), sentence(
            english.negation(who.english, who.person, verb.english, "habit", what.english)
        )
    if kind < 0.5:
        words = english.question(who.english, who.person, verb.english, "habit", what.english)
        return sentence(f"{finite} {who.nom} {what.acc}", "?"), sentence(words, "?")
    return (
        sentence(f"{who.nom} {finite} {what.acc}"),
        sentence(english.statement(who.english, who.person, verb.english, "habit", what.english)),
    )


def liking(d: Draw) -> Sentence:
    """Ich mag den schwarzen Hund nicht."""
    who, group = subject(d), d.pick((*GROUPS, "people"))
    noun = d.pick(NOUN[group])
    what = phrase(d.pick(("der", "der", "dieser")), adjective(d, group, 0.5), noun, d.pick("sssp"))
    d.bond("object", "mögen", noun.english)
    like, third_person = AUXILIARIES["like"][who.person], who.person == 2
    if d.chance(0.3):
        does = "does" if third_person else "do"
        return sentence(f"{who.nom} {like} {what.acc} nicht"), sentence(f"{who.english} {does} not like {what.english}")
    return sentence(f"{who.nom} {like} {what.acc}"), sentence(
        f"{who.english} {'likes' if third_person else 'like'} {what.english}"
    )


def feeling(d: Draw) -> Sentence:
    """Anna war gestern sehr müde."""
    who, state = subject(d), d.pick(ADJECTIVE["feeling"])
    german, words = d.pick(
        (("", ""), ("nicht", "not"), ("sehr", "very"), ("nicht mehr", "no longer"), ("auch", "also"))
    )
    kind = d.random()
    if kind < 0.25:
        opening, close = d.pick(
            (("gestern", "yesterday"), ("am Montag", "on Monday"), ("heute Morgen", "this morning"))
        )
        text = main_clause(opening, who.nom, (AUXILIARIES["was"][who.person], ""), german, state.german)
        return sentence(text), sentence(f"{close} {join(who.english, WAS[who.person], words, state.english)}")
    finite, be = AUXILIARIES["sein"][who.person], BE[who.person]
    if kind < 0.5:
        return sentence(join(finite, who.nom, german, state.german), "?"), sentence(
            join(be, who.english, words, state.english), "?"
        )
    return sentence(join(who.nom, finite, german, state.german)), sentence(join(who.english, be, words, state.english))


PATTERNS: dict[Callable[[Draw], Sentence], int] = {
    home: 3, profession: 2, compared: 3, there_is: 4, position: 3, belongs: 3, this_is: 4, needing: 4, liking: 3, feeling: 3,
}  # fmt: skip
