"""Clauses of the German-English grammar: an event in every word order that German knows.

Each pattern returns (German, English), ready but for the bonds. English has one order for all of them.
"""

from collections.abc import Callable

from . import english
from .draw import Draw
from .english import BE, WAS, join, sentence
from .german import AUXILIARIES, Phrase, main_clause, phrase, sub_clause, subject_first, verb_group
from .german_events import MOVING_VERBS, Event, acting, drinking, event, meeting, moving, staying, way_to
from .german_people import Time, owner_pronoun, somebody, subject, time
from .german_words import ADJECTIVE, NAMES, NOUN

Sentence = tuple[str, str]
NO_TIME = Time("", "")
FREQUENCY = {"immer": "always", "oft": "often", "manchmal": "sometimes", "selten": "rarely", "nie": "never"}
CLAIMS = {
    "ich weiß, dass": "I know that", "ich glaube, dass": "I think that", "ich hoffe, dass": "I hope that",
    "wir wissen, dass": "we know that", "es ist gut, dass": "it is good that", "es ist schade, dass": "it is a pity that",
}  # fmt: skip
DOUBTS = {"ich weiß nicht, ob": "I do not know whether", "wir wissen nicht, ob": "we do not know whether"}
WEATHER = {
    "es regnet": "it rains", "es schneit": "it snows", "die Sonne scheint": "the sun shines", "es kalt ist": "it is cold",
    "es heiß ist": "it is hot", "es dunkel ist": "it is dark",
}  # fmt: skip


def choose_tense(d: Draw, what: Event, timed: float) -> tuple[str, Time]:
    """A tense and, with probability ``timed``, a time; a habit always has one, since only the time tells it from now."""
    tense = d.pick(what.tenses)
    if tense == "habit" or d.chance(timed):
        return tense, time(d, tense)
    return tense, NO_TIME


def plain(d: Draw) -> Sentence:
    """Der Arzt hat gestern einen Hut gekauft."""
    who = subject(d)
    what = event(d, who)
    tense, when = choose_tense(d, what, 0.6)
    german = subject_first(who.nom, verb_group(what.verb, tense, who.person), what.pronoun, when.german, what.middle)
    words = english.statement(who.english, who.person, what.verb.english, tense, join(what.english, when.english))
    return sentence(german), sentence(words)


def fronted(d: Draw) -> Sentence:
    """Gestern hat der Arzt einen Hut gekauft: the verb stays second, the subject goes behind it."""
    who = subject(d)
    what = event(d, who)
    tense, when = choose_tense(d, what, 1.0)
    german = main_clause(when.german, who.nom, verb_group(what.verb, tense, who.person), what.pronoun, what.middle)
    words = english.statement(who.english, who.person, what.verb.english, tense, what.english)
    return sentence(german), sentence(f"{when.english} {words}")


def negated(d: Draw) -> Sentence:
    """Der Arzt hat gestern keinen Hut gekauft."""
    who = subject(d)
    what = event(d, who)
    while not what.negated:
        what = event(d, who)
    tense, when = choose_tense(d, what, 0.4)
    german = subject_first(who.nom, verb_group(what.verb, tense, who.person), what.pronoun, when.german, what.negated)
    words = english.negation(who.english, who.person, what.verb.english, tense, join(what.english, when.english))
    return sentence(german), sentence(words)


def asked(d: Draw) -> Sentence:
    """Hat der Arzt gestern einen Hut gekauft?"""
    who = subject(d)
    while who.key == "I":  # "am I buying a hat?" is a question that nobody asks
        who = subject(d)
    what = event(d, who)
    tense, when = choose_tense(d, what, 0.5)
    while tense in ("now", "habit") and who.person != 2:  # "Reparieren wir ...": each such form would be rare
        tense, when = choose_tense(d, what, 0.5)
    group = verb_group(what.verb, tense, who.person)
    german = main_clause("", who.nom, group, what.pronoun, when.german, what.middle)
    words = english.question(who.english, who.person, what.verb.english, tense, join(what.english, when.english))
    return sentence(german, "?"), sentence(words, "?")


def when_or_why(d: Draw) -> Sentence:
    """Warum hat der Arzt einen Hut gekauft?"""
    who = subject(d)
    what = event(d, who)
    word, words = d.pick((("wann", "when"), ("warum", "why")))
    tense = d.pick(what.tenses)
    tense = "past" if tense == "habit" else tense
    german = main_clause(word, who.nom, verb_group(what.verb, tense, who.person), what.pronoun, what.middle)
    text = english.question(who.english, who.person, what.verb.english, tense, what.english, words)
    return sentence(german, "?"), sentence(text, "?")


def who_asked(d: Draw) -> Sentence:
    """Wer hat den Hut gekauft? English needs no did when who is the subject."""
    anyone = Phrase("wer", "wen", "wem", "who", "whom", 2, "", "who")
    what = event(d, anyone)
    tense, when = choose_tense(d, what, 0.4)
    group = verb_group(what.verb, tense, 2)
    german = subject_first("wer", group, what.pronoun, when.german, what.middle)
    words = english.statement("who", 2, what.verb.english, tense, join(what.english, when.english))
    return sentence(german, "?"), sentence(words, "?")


def what_asked(d: Draw) -> Sentence:
    """Was hat Anna gestern gekauft? Wo hat sie gewartet? Wohin ist sie gegangen? Wen hat sie besucht?"""
    who = subject(d)
    kind = d.between(0, 3)
    what = (acting, staying, moving, meeting)[kind](d, who)
    d.bonds.clear()  # the object is asked for, not named
    german, words = (("was", "what"), ("wo", "where"), ("wohin", "where"), ("wen", "whom"))[kind]
    tense, when = choose_tense(d, what, 0.5)
    text = main_clause(german, who.nom, verb_group(what.verb, tense, who.person), when.german)
    return sentence(text, "?"), sentence(
        english.question(who.english, who.person, what.verb.english, tense, when.english, words), "?"
    )


def claimed(d: Draw) -> Sentence:
    """Ich weiß, dass der Arzt gestern einen Hut gekauft hat."""
    kind = d.random()
    if kind < 0.6:
        opening, words = d.pick(tuple(CLAIMS.items()))
    elif kind < 0.8:
        opening, words = d.pick(tuple(DOUBTS.items()))
    else:
        name = d.pick(NAMES)
        opening, words = f"{name.nom} sagt, dass", f"{name.english} says that"
    who = somebody(d)
    what = event(d, who)
    tense, when = choose_tense(d, what, 0.4)
    group = verb_group(what.verb, tense, who.person)
    german = sub_clause(who.nom, group, tense, what.pronoun, when.german, what.middle)
    text = english.statement(who.english, who.person, what.verb.english, tense, join(what.english, when.english))
    return sentence(f"{opening} {german}"), sentence(f"{words} {text}")


def because(d: Draw) -> Sentence:
    """Anna ist müde, weil sie gestern im Garten gearbeitet hat."""
    who = subject(d)
    while not who.own:
        who = subject(d)
    state, again = d.pick(ADJECTIVE["feeling"]), owner_pronoun(who)
    what = event(d, who)
    past = d.chance(0.4)
    tense = "past" if past else d.pick(("past", "must", "can", "may", "want") if "must" in what.tenses else what.tenses)
    when = time(d, tense) if d.chance(0.3) else NO_TIME
    is_was, be = (AUXILIARIES["was"], WAS) if past else (AUXILIARIES["sein"], BE)
    group = verb_group(what.verb, tense, again.person)
    clause = sub_clause(again.nom, group, tense, what.pronoun, when.german, what.middle)
    text = english.statement(again.english, again.person, what.verb.english, tense, join(what.english, when.english))
    return (
        sentence(f"{who.nom} {is_was[who.person]} {state.german}, weil {clause}"),
        sentence(f"{who.english} {be[who.person]} {state.english} because {text}"),
    )


def if_weather(d: Draw) -> Sentence:
    """Wenn es regnet, arbeitet Anna im Büro: the clause in front counts as the first place."""
    who = subject(d)
    what = (staying, moving, drinking, staying)[d.between(0, 3)](d, who)
    condition, words = d.pick(tuple(WEATHER.items()))
    tense = d.pick(("habit", "habit", "must", "may", "can", "want"))
    group = verb_group(what.verb, tense, who.person)
    text = english.statement(who.english, who.person, what.verb.english, tense, what.english)
    if d.chance(0.6):
        clause = main_clause("", who.nom, group, what.pronoun, what.middle)
        return sentence(f"wenn {condition}, {clause}"), sentence(f"if {words}, {text}")
    clause = subject_first(who.nom, group, what.pronoun, what.middle)
    return sentence(f"{clause}, wenn {condition}"), sentence(f"{text} if {words}")


def frequency(d: Draw) -> Sentence:
    """Anna trinkt oft kalten Tee."""
    who = subject(d)
    what = event(d, who)
    while "habit" not in what.tenses:
        what = event(d, who)
    adverb = d.pick(tuple(FREQUENCY))
    german = subject_first(who.nom, verb_group(what.verb, "habit", who.person), what.pronoun, adverb, what.middle)
    words = english.statement(who.english, who.person, what.verb.english, "habit", what.english, FREQUENCY[adverb])
    return sentence(german), sentence(words)


def gladly(d: Draw) -> Sentence:
    """Anna trinkt gern kalten Tee, Anna likes to drink cold tea."""
    who = subject(d)
    what = (drinking, staying, moving, drinking)[d.between(0, 3)](d, who)
    german = subject_first(who.nom, verb_group(what.verb, "habit", who.person), "gern", what.middle)
    likes = english.EnglishVerb(f"like to {what.verb.english.base}", "", "")
    return sentence(german), sentence(english.statement(who.english, who.person, likes, "habit", what.english))


def purpose(d: Draw) -> Sentence:
    """Anna geht in den Supermarkt, um einen Kuchen zu kaufen; zu stands inside a separable verb: um ihn abzuholen."""
    who = subject(d)
    where, place = way_to(d, who)
    aim = (acting, drinking, meeting)[d.between(0, 2)](d, who)
    while "must" not in aim.tenses:
        aim = acting(d, who)
    tense = d.pick(("past", "must", "want", "future", "now"))
    going = MOVING_VERBS[0][0]
    infinitive = f"{aim.verb.prefix}zu{aim.verb.stem}" if aim.verb.prefix else f"zu {aim.verb.stem}"
    german = subject_first(who.nom, verb_group(going, tense, who.person), where)
    words = english.statement(who.english, who.person, going.english, tense, place)
    return (
        sentence(f"{german}, um {join(aim.pronoun, aim.middle, infinitive)}"),
        sentence(f"{words} to {join(aim.verb.english.base, aim.english)}"),
    )


def relative(d: Draw) -> Sentence:
    """Die Frau, die den Wagen repariert, ist müde."""
    head = phrase("der", None, d.pick(NOUN["people"]))
    what, state = event(d, head), d.pick(ADJECTIVE["feeling"])
    tense = d.pick(("past", "past", "now"))
    tense = tense if tense in what.tenses else "past"
    article = head.nom.split()[0]
    clause = sub_clause(article, verb_group(what.verb, tense, 2), tense, what.pronoun, what.middle)
    text = english.statement("who", 2, what.verb.english, tense, what.english)
    return sentence(f"{head.nom}, {clause}, ist {state.german}"), sentence(f"{head.english} {text} is {state.english}")


def relative_object(d: Draw) -> Sentence:
    """Der Mann, den Anna besucht hat, ist müde. Only den tells object from subject, hence men only."""
    head = phrase("der", None, d.pick([noun for noun in NOUN["people"] if noun.gender == "m"]))
    who, state, tense = d.pick(NAMES), d.pick(ADJECTIVE["feeling"]), d.pick(("past", "past", "now"))
    what = meeting(d, who)
    d.bonds.clear()  # the verb's own object is the head, not what was drawn
    clause = sub_clause(f"den {who.nom}", verb_group(what.verb, tense, 2), tense)
    text = english.statement(f"whom {who.english}", 2, what.verb.english, tense, "")
    return sentence(f"{head.nom}, {clause}, ist {state.german}"), sentence(f"{head.english} {text} is {state.english}")


PATTERNS: dict[Callable[[Draw], Sentence], int] = {
    plain: 16, fronted: 14, negated: 9, asked: 7, when_or_why: 4, who_asked: 3, what_asked: 4, claimed: 9, because: 6,
    if_weather: 5, frequency: 4, gladly: 3, purpose: 4, relative: 3, relative_object: 2,
}  # fmt: skip
