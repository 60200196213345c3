"""Clauses of the Chinese-English grammar: an event stated, denied, asked, claimed, explained, made a relative clause."""

from collections.abc import Callable

from . import english
from .chinese import PEOPLE_WORDS, Event, acting, anybody, denied, event, known, meeting, moving, said, staying, time
from .chinese_words import FEELINGS, FREQUENCY, NAMES, NOUN, PRONOUNS, Person, couples
from .draw import Draw
from .english import BE, WAS, EnglishVerb, join

Sentence = tuple[str, str]
CLAIMS = (
    ("我知道", "I know that"),
    ("我觉得", "I think that"),
    ("我希望", "I hope that"),
    ("我们都相信", "we all believe that"),
)
WEATHER = (
    ("下雨", "it rains"), ("下雪", "it snows"), ("天气很好", "the weather is good"), ("天气很冷", "it is cold"),
    ("天气很热", "it is hot"),
)  # fmt: skip
HELPERS = ("past", "future", "can", "want", "must", "may", "should")


def both(chinese: str, words: str, mark: str = ".") -> Sentence:
    """The two ends of a sentence: Chinese has its own marks and no capitals."""
    return chinese + {".": "。", "?": "？"}[mark], english.sentence(words, mark)


def tense_of(d: Draw, what: Event, timed: float) -> tuple[str, tuple[str, str]]:
    """A habit always has its time; so has the past, since 了 alone leaves it open."""
    tense = d.pick(what.tenses)
    if tense in ("habit", "past") or d.chance(timed):
        return tense, time(d, tense)
    return tense, ("", "")


def state(who: Person, what: Event, tense: str, when: str, adverb: str = "") -> str:
    return english.statement(who.english, who.person, what.english_verb, tense, join(what.english, when), adverb)


def plain(d: Draw) -> Sentence:
    """安娜昨天在商店买了一本书。"""
    who = anybody(d)
    what = event(d, who)
    tense, (when, words) = tense_of(d, what, 0.5)
    return both(f"{who.chinese}{when}{said(what, tense)}", state(who, what, tense, words))


def fronted(d: Draw) -> Sentence:
    """昨天安娜在商店买了一本书。"""
    who = anybody(d)
    what = event(d, who)
    tense, (when, words) = tense_of(d, what, 1.0)
    return both(f"{when}{who.chinese}{said(what, tense)}", f"{words} {state(who, what, tense, '')}")


def negated(d: Draw) -> Sentence:
    """安娜昨天没有去学校。"""
    who = anybody(d)
    what = event(d, who)
    tense = d.pick([tense for tense in what.tenses if tense in HELPERS])
    when, words = time(d, tense) if tense == "past" or d.chance(0.4) else ("", "")
    text = english.negation(who.english, who.person, what.english_verb, tense, join(what.english, words))
    return both(f"{who.chinese}{when}{denied(what, tense)}", text)


def asked(d: Draw) -> Sentence:
    """安娜昨天去学校了吗？ with 了 after the verb as in the statement."""
    who = anybody(d)
    what = event(d, who)
    tense, (when, words) = tense_of(d, what, 0.5)
    text = english.question(who.english, who.person, what.english_verb, tense, join(what.english, words))
    return both(f"{who.chinese}{when}{said(what, tense)}吗", text, "?")


def why_asked(d: Draw) -> Sentence:
    """你为什么想去北京？ 你什么时候能去北京？"""
    who = anybody(d)
    what = event(d, who)
    word, words = d.pick((("为什么", "why"), ("什么时候", "when")))
    tense = d.pick([tense for tense in what.tenses if tense in HELPERS])
    if tense == "past":
        word, words = "为什么", "why"
    if tense == "want" and word == "什么时候":
        tense = "future"
    text = english.question(who.english, who.person, what.english_verb, tense, what.english, words)
    return both(f"{who.chinese}{word}{said(what, tense)}", text, "?")


def who_asked(d: Draw) -> Sentence:
    """谁昨天去了北京？"""
    who = Person("谁", "who", "whom", 2, "")
    what = event(d, who)
    tense, (when, words) = tense_of(d, what, 0.4)
    return both(f"谁{when}{said(what, tense)}", state(who, what, tense, words), "?")


def what_asked(d: Draw) -> Sentence:
    """安娜昨天买了什么？ The word asked for stays in its place."""
    who, kind = anybody(d), d.between(0, 2)
    what = (acting, staying, moving)[kind](d, who)
    d.bonds.clear()
    tense, (when, words) = tense_of(d, what, 0.5)
    before, after, word = (("", "什么", "what"), ("在哪里", "", "where"), ("", "哪里", "where"))[kind]
    bare = what._replace(before=before, after=after)
    text = english.question(who.english, who.person, what.english_verb, tense, words, word)
    return both(f"{who.chinese}{when}{said(bare, tense)}", text, "?")


def claimed(d: Draw) -> Sentence:
    """我知道安娜昨天去了北京。"""
    opening, words = d.pick(CLAIMS)
    if d.chance(0.25):
        name = d.pick(NAMES)
        opening, words = f"{name.chinese}说", f"{name.english} says that"
    who = known(d)
    while who.english.startswith("that "):  # "I know that that doctor" is a stumble
        who = known(d)
    what = event(d, who)
    tense, (when, moment) = tense_of(d, what, 0.4)
    return both(f"{opening}{who.chinese}{when}{said(what, tense)}", f"{words} {state(who, what, tense, moment)}")


def because(d: Draw) -> Sentence:
    """安娜很累，因为她昨天在花园工作了。 虽然安娜很累，但是她会去学校。"""
    who = anybody(d)
    while not who.pronoun:
        who = anybody(d)
    again = next(person for person in PRONOUNS if person.chinese == who.pronoun)
    feeling, words = d.pick(couples(FEELINGS))
    what = event(d, who)
    tense = d.pick([tense for tense in what.tenses if tense in HELPERS])
    when, moment = time(d, tense) if tense == "past" else ("", "")
    clause, text = f"{again.chinese}{when}{said(what, tense)}", state(again, what, tense, moment)
    feels = f"{who.english} {BE[who.person]} very {words}"
    if d.chance(0.4):
        return both(f"虽然{who.chinese}很{feeling}，但是{clause}", f"although {feels}, {text}")
    return both(f"{who.chinese}很{feeling}，因为{clause}", f"{feels} because {text}")


def if_weather(d: Draw) -> Sentence:
    """如果明天下雨，安娜就会在图书馆学习。"""
    who = anybody(d)
    what = (staying, moving)[d.between(0, 1)](d, who)
    weather, words = d.pick(WEATHER)
    day, moment = d.pick((("", ""), ("明天", "tomorrow"), ("周末", "at the weekend")))
    tense = d.pick(("future", "future", "can", "must", "should"))
    return both(
        f"如果{day}{weather}，{who.chinese}就{said(what, tense)}",
        f"if {join(words, moment)}, {state(who, what, tense, '')}",
    )


def frequency(d: Draw) -> Sentence:
    """安娜常常在公园跑步。"""
    who = anybody(d)
    what = (staying, moving, meeting)[d.between(0, 2)](d, who)
    adverb, words = d.pick(couples(FREQUENCY))
    return both(f"{who.chinese}{adverb}{said(what, 'habit')}", state(who, what, "habit", "", words))


def gladly(d: Draw) -> Sentence:
    """安娜喜欢在公园跑步。 安娜喜欢喝热茶。"""
    who = anybody(d)
    what = staying(d, who)
    if d.chance(0.3):
        drink = d.pick(NOUN["drink"])
        hot, warm = d.pick((("热", "hot"), ("冰", "iced"), ("", "")))
        words = join(warm, drink.english.rpartition("}")[2])
        what = Event("", "喝", hot + drink.chinese, EnglishVerb("drink", "drank", "drinking"), words)
        d.bonds = [("object", "喝", drink.chinese)]
    likes = what._replace(english_verb=EnglishVerb(f"like to {what.english_verb.base}", "", ""))
    if d.chance(0.3):
        text = english.negation(who.english, who.person, likes.english_verb, "habit", what.english)
        return both(f"{who.chinese}不喜欢{said(what, 'habit')}", text)
    return both(f"{who.chinese}喜欢{said(what, 'habit')}", state(who, likes, "habit", ""))


def relative(d: Draw) -> Sentence:
    """昨天买了这本书的老师很高兴。 The clause stands before its noun, without any pronoun."""
    noun, word = d.pick(PEOPLE_WORDS)
    head = Person(noun, "who", "whom", 2, "")
    what = event(d, head)
    tense = d.pick([tense for tense in what.tenses if tense in ("past", "now", "want")])
    when, moment = time(d, tense) if tense == "past" else ("", "")
    feeling, words = d.pick(couples(FEELINGS))
    text = state(head, what, tense, moment)
    return both(f"{when}{said(what, tense)}的{noun}很{feeling}", f"the {word} {text} is very {words}")


def feeling(d: Draw) -> Sentence:
    """安娜昨天很累。 安娜不累。 你累吗？"""
    who, kind = anybody(d), d.random()
    chinese, words = d.pick(couples(FEELINGS))
    if kind < 0.3:
        when, moment = d.pick((("昨天", "yesterday"), ("今天早上", "this morning"), ("上个星期", "last week")))
        return both(f"{who.chinese}{when}很{chinese}", f"{who.english} {WAS[who.person]} very {words} {moment}")
    if kind < 0.5:
        return both(f"{who.chinese}{chinese}吗", f"{BE[who.person]} {who.english} {words}", "?")
    if kind < 0.7:
        return both(f"{who.chinese}不{chinese}", f"{who.english} {BE[who.person]} not {words}")
    return both(f"{who.chinese}现在很{chinese}", f"{who.english} {BE[who.person]} very {words} now")


PATTERNS: dict[Callable[[Draw], Sentence], int] = {
    plain: 16, fronted: 14, negated: 9, asked: 7, why_asked: 4, who_asked: 3, what_asked: 4, claimed: 8, because: 8,
    if_weather: 5, frequency: 3, gladly: 4, relative: 6, feeling: 3,
}  # fmt: skip
