"""Chinese noun phrases, times and events, each with its English.

Chinese does not inflect; what it marks are measure words (三本书), aspect (正在, 了) and order: when, where, then what.
"""

from typing import NamedTuple

from .chinese_words import (
    ADJECTIVE,
    CALLING,
    CITIES,
    GIVING,
    GOING,
    MEETING,
    NAMES,
    NOUN,
    OWNERS,
    PEOPLE,
    PLACES,
    PRONOUNS,
    PUNCTUAL,
    RIDES,
    STAYING,
    TRANSITIVE,
    TRAVEL,
    Noun,
    Person,
    couples,
    relatives,
    verbs,
)
from .draw import Draw
from .english import EnglishVerb, article, join
from .numbers import chinese_count, english_number
from .times import (
    CHINESE_DAYS,
    ENGLISH_DAYS,
    MINUTES,
    MONTH_LENGTHS,
    chinese_clock,
    chinese_date,
    english_clock,
    english_date,
)

ACTION = ("now", "past", "past", "past", "habit", "future", "can", "want", "must", "may", "should")
TRANSITIVE_VERBS, PUNCTUAL_VERBS, MEETING_VERBS = verbs(TRANSITIVE), verbs(PUNCTUAL), verbs(MEETING)
GIVING_VERBS, STAYING_VERBS, GO, CALL = verbs(GIVING), verbs(STAYING), verbs(GOING)[0], verbs(CALLING)[0]
PEOPLE_WORDS, PLACE_WORDS, CITY_WORDS = (couples(text) for text in (PEOPLE, PLACES, CITIES))
RELATIVES = relatives()
MODALS = {"future": "会", "can": "能", "want": "想", "must": "必须", "may": "可以", "should": "应该"}
DAY_PARTS = (("早上", "morning", 6, 11), ("下午", "afternoon", 1, 5), ("晚上", "evening", 6, 10))
TIMES = {
    "now": "现在/now",
    "habit": "每天/every_day 每天早上/every_morning 每天晚上/every_evening 每个周末/every_weekend 每个星期/every_week",
    "past": """昨天/yesterday 昨天晚上/yesterday_evening 今天早上/this_morning 上个星期/last_week 上个月/last_month
        去年/last_year""",
    "future": "明天/tomorrow 明天晚上/tomorrow_evening 下个星期/next_week 下个月/next_month 明年/next_year",
}
UNITS = (("天", "day"), ("个星期", "week"), ("个月", "month"), ("年", "year"), ("个小时", "hour"))


class Event(NamedTuple):
    """before 在公园, verb 打, after 电话: 了 goes between verb and after."""

    before: str
    verb: str
    after: str
    english_verb: EnglishVerb
    english: str
    tenses: tuple[str, ...] = ACTION


def noun_phrase(noun: Noun, adjective: tuple[str, ...], chinese: str, english: str, number: int = 1) -> tuple[str, str]:
    """一本新书, a new book: the words before the adjective are given, measure word included; a as "a"."""
    described = (noun.english if number == 1 else noun.plural).format(adjective[1] + " " if adjective else "")
    english = article(described) if english == "a" else join(english, described)
    word = adjective[0] if adjective else ""
    if chinese.endswith("的"):  # one 的 is enough: 我的红色雨伞
        word = word.removesuffix("的")
    return chinese + word + noun.chinese, english


def described(d: Draw, group: str, probability: float) -> tuple[str, ...]:
    return d.pick(ADJECTIVE[group]) if d.chance(probability) else ()


def measured(noun: Noun, adjective: tuple[str, ...], number: int) -> tuple[str, str]:
    """(书, 3) -> 三本书, three books; 1 is a book."""
    words = "a" if number == 1 else english_number(number)
    return noun_phrase(noun, adjective, chinese_count(number) + noun.measure, words, number)


def pointed(d: Draw, noun: Noun, adjective: tuple[str, ...]) -> tuple[str, str]:
    """这本书, that book, 这三本书."""
    word, one, many = d.pick((("这", "this", "these"), ("那", "that", "those")))
    if d.chance(0.2):
        number = d.between(2, 6)
        words = f"{many} {english_number(number)}"
        return noun_phrase(noun, adjective, word + chinese_count(number) + noun.measure, words, number)
    return noun_phrase(noun, adjective, word + noun.measure, one)


def thing(d: Draw, group: str, noun: Noun) -> tuple[str, str]:
    """Any noun phrase that can be an object: counted, pointed at or owned."""
    adjective, kind = described(d, group, 0.3), d.random()
    if kind < 0.35:
        return measured(noun, adjective, 1)
    if kind < 0.6:
        return measured(noun, adjective, d.between(2, 20 if d.chance(0.2) else 5))
    if kind < 0.85 or group in ("food", "drink"):
        return pointed(d, noun, adjective)
    owner = d.pick(tuple(OWNERS))
    return noun_phrase(noun, adjective, f"{owner}的", OWNERS[owner])


def known(d: Draw) -> Person:
    """A single third person who is no pronoun: a name, the doctor, that doctor, my mother, Anna's mother."""
    kind = d.random()
    if kind < 0.4:
        return d.pick(NAMES)
    if kind < 0.65:
        chinese, english = d.pick(PEOPLE_WORDS)
        that = d.chance(0.3)
        words = f"that {english}" if that else f"the {english}"
        return Person(f"那位{chinese}" if that else chinese, words, words, 2, "")
    chinese, english, pronoun = d.pick(RELATIVES)
    if kind < 0.88:
        owner = d.pick(tuple(OWNERS))
        words = f"{OWNERS[owner]} {english}"
        return Person(owner + chinese, words, words, 2, pronoun)
    name = d.pick(NAMES)
    words = f"{name.english}'s {english}"
    return Person(f"{name.chinese}的{chinese}", words, words, 2, pronoun)


def anybody(d: Draw) -> Person:
    return d.pick(PRONOUNS) if d.chance(0.35) else known(d)


def other(d: Draw, who: Person) -> Person:
    """Somebody else; no pronoun that could mean the subject."""
    while True:
        found = d.pick(PRONOUNS) if d.chance(0.25) else known(d)
        if found.english != who.english and not (found.person in (0, 3) and who.person in (0, 3)):
            return found


def clock(d: Draw) -> tuple[str, str, str]:
    """(下午两点半, half past two, afternoon)."""
    part, english, low, high = d.pick(DAY_PARTS)
    hour, minute = d.between(low, high), d.pick(MINUTES)
    d.bond("clock", str(hour), str(minute))
    return part + chinese_clock(hour, minute), english_clock(hour, minute), english


def date(d: Draw) -> tuple[str, str]:
    month = d.between(1, 12)
    day = d.between(1, MONTH_LENGTHS[month - 1])
    return chinese_date(day, month), english_date(day, month)


def time(d: Draw, tense: str) -> tuple[str, str]:
    """A time that suits the tense."""
    kind, past = d.random(), tense == "past"
    if tense not in ("now", "habit"):
        if kind < 0.15:
            chinese, english, part = clock(d)
            return ("昨天" if past else "明天") + chinese, f"at {english} {'yesterday' if past else 'tomorrow'} {part}"
        if kind < 0.3:
            day = d.between(0, 6)
            which, words = ("上个", "last") if past else ("下个", "next")
            return which + CHINESE_DAYS[day], f"{words} {ENGLISH_DAYS[day]}"
        if kind < 0.4:
            chinese, english = date(d)
            return chinese, f"on {english}"
        if kind < 0.52 and tense in ("past", "future"):
            number, (unit, words) = d.between(2, 6), d.pick(UNITS)
            count = f"{english_number(number)} {words}s"
            chinese = chinese_count(number) + unit
            return (f"{chinese}前", f"{count} ago") if past else (f"{chinese}后", f"in {count}")
    chinese, english = d.pick(couples(TIMES.get(tense, TIMES["future"])))
    return chinese, english


def rest_at(d: Draw, who: Person) -> tuple[str, str]:
    chinese, preposition, english = d.pick(PLACE_WORDS)
    d.bond("place", who.english, english)
    return f"在{chinese}", f"{preposition} the {english}"


def acting(d: Draw, who: Person) -> Event:
    punctual = d.chance(0.15)
    verb = d.pick(PUNCTUAL_VERBS if punctual else TRANSITIVE_VERBS)
    group = d.pick(verb.groups)
    noun = d.pick(NOUN[group])
    d.bond("object", verb.chinese, noun.chinese)
    chinese, english = thing(d, group, noun)
    if punctual:
        return Event("", verb.chinese, chinese, verb.english, english, ("past",))
    where, place = rest_at(d, who) if d.chance(0.25) else ("", "")
    return Event(where, verb.chinese, chinese, verb.english, join(english, place))


def meeting(d: Draw, who: Person) -> Event:
    whom = other(d, who)
    if d.chance(0.25):
        return Event(f"给{whom.chinese}", CALL.chinese, "电话", CALL.english, whom.english_object)
    verb = d.pick(MEETING_VERBS)
    d.bond("meet", verb.chinese, whom.english)
    return Event("", verb.chinese, whom.chinese, verb.english, whom.english_object)


def giving(d: Draw, who: Person) -> Event:
    verb, whom = d.pick(GIVING_VERBS), other(d, who)
    group = d.pick(verb.groups)
    noun = d.pick(NOUN[group])
    d.bond("object", verb.chinese, noun.chinese)
    chinese, english = thing(d, group, noun)
    return Event("", verb.chinese, whom.chinese + chinese, verb.english, join(whom.english_object, english))


def staying(d: Draw, who: Person) -> Event:
    """Somewhere, at times with somebody: 和安娜一起在公园跳舞."""
    verb = d.pick(STAYING_VERBS)
    where, place = rest_at(d, who)
    if d.chance(0.3):
        whom = other(d, who)
        return Event(
            f"和{whom.chinese}一起{where}", verb.chinese, "", verb.english, f"with {whom.english_object} {place}"
        )
    return Event(where, verb.chinese, "", verb.english, place)


def moving(d: Draw, who: Person) -> Event:
    far = d.chance(0.5)
    way, by = d.pick(couples(TRAVEL if far else RIDES)) if d.chance(0.4) else ("", "")
    if far:
        chinese, english = d.pick(CITY_WORDS)
    else:
        chinese, _, english = d.pick(PLACE_WORDS)
        english = f"the {english}"
    d.bond("place", who.english, english)
    return Event(way, GO.chinese, chinese, GO.english, join(f"to {english}", by))


EVENTS = (acting, acting, acting, acting, meeting, meeting, giving, staying, staying, moving)


def event(d: Draw, who: Person) -> Event:
    return d.pick(EVENTS)(d, who)


def said(what: Event, tense: str) -> str:
    """The event in a tense: 正在公园跳舞, 在公园买了一本书, 会去北京."""
    if tense == "past":
        return f"{what.before}{what.verb}了{what.after}"
    plain = what.before + what.verb + what.after
    if tense == "now":
        return "正在" + plain.removeprefix("在")
    return MODALS.get(tense, "") + plain


def denied(what: Event, tense: str) -> str:
    """没有 for the past, 不 before helpers: 没有买书, 不会去, 不必去."""
    plain = what.before + what.verb + what.after
    if tense == "past":
        return "没有" + plain
    return "不" + ("必" if tense == "must" else MODALS[tense]) + plain
