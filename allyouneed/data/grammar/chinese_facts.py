"""Facts in the Chinese-English grammar: prices, ages, times, dates, positions, comparisons, possessions."""

from collections.abc import Callable

from .chinese import (
    CITY_WORDS,
    PEOPLE_WORDS,
    PLACE_WORDS,
    anybody,
    clock,
    date,
    described,
    known,
    measured,
    noun_phrase,
    other,
    pointed,
    time,
)
from .chinese_sentences import Sentence, both
from .chinese_words import NOUN, OWNERS, PERSONS_COMPARED, PUTTING, THING_STATES, THINGS_COMPARED, couples, verbs
from .draw import Draw
from .english import BE, article, join, negation, question, statement, third
from .numbers import chinese_number, english_number
from .times import CHINESE_DAYS, ENGLISH_DAYS, ENGLISH_MONTHS, MONTH_LENGTHS, chinese_price, english_yuan

GOODS = ("food", "drink", "book", "clothes", "thing", "tool")
SPOTS = (("上", "on"), ("下面", "under"), ("旁边", "next to"), ("后面", "behind"), ("前面", "in front of"))
SUPPORTS = (("桌子", "table"), ("椅子", "chair"), ("床", "bed"), ("沙发", "sofa"), ("箱子", "suitcase"))
SHOWS = (("电影", "film"), ("音乐会", "concert"), ("会议", "meeting"), ("比赛", "match"), ("汉语课", "Chinese lesson"))
RISE, WORK, HOME, BED = ("起床", "get up"), ("上班", "start work"), ("回家", "go home"), ("睡觉", "go to sleep")
DAILY = {"morning": (RISE, WORK), "afternoon": (WORK, HOME), "evening": (HOME, BED)}
PUT = verbs(PUTTING)[0]


def price(d: Draw) -> Sentence:
    """这本书三十五块钱。 那件衬衫多少钱？"""
    group = d.pick(GOODS)
    noun = d.pick(NOUN[group])
    word, words = d.pick((("这", "this"), ("那", "that")))
    chinese, english = noun_phrase(noun, described(d, group, 0.5), word + noun.measure, words)
    if d.chance(0.12):
        return both(f"{chinese}多少钱", f"how much does {english} cost", "?")
    yuan, tenths = d.between(1, 99), d.pick((0, 0, *range(1, 10)))
    d.bond("price", noun.chinese, str(yuan))
    return both(f"{chinese}{chinese_price(yuan, tenths)}", f"{english} costs {english_yuan(yuan, tenths)}")


def age(d: Draw) -> Sentence:
    """安娜今年二十三岁。"""
    who = anybody(d)
    if d.chance(0.1):
        return both(f"{who.chinese}今年多大", f"how old {BE[who.person]} {who.english}", "?")
    low, high = (60, 99) if "grand" in who.english else (19, 70)
    number = d.between(low, high)
    d.bond("age", who.english, str(number))
    return both(
        f"{who.chinese}今年{chinese_number(number)}岁",
        f"{who.english} {BE[who.person]} {english_number(number)} years old",
    )


def pages(d: Draw) -> Sentence:
    noun = d.pick(NOUN["book"][:4])
    chinese, english = noun_phrase(noun, described(d, "book", 0.4), d.pick("这那") + noun.measure, "")
    english = ("this " if chinese[0] == "这" else "that ") + english
    number = 10 * d.between(10, 99)
    return both(f"{chinese}有{chinese_number(number)}页", f"{english} has {english_number(number)} pages")


def show(d: Draw) -> Sentence:
    """音乐会星期一晚上八点开始。"""
    (chinese, english), day = d.pick(SHOWS), d.between(0, 6)
    moment, words, part = clock(d)
    return both(
        f"{chinese}{CHINESE_DAYS[day]}{moment}开始",
        f"the {english} begins at {words} on {ENGLISH_DAYS[day]} {part}",
    )


def train(d: Draw) -> Sentence:
    """去北京的火车早上八点半出发。"""
    (city, name), (moment, words, part) = d.pick(CITY_WORDS[:6]), clock(d)
    kind, go = d.pick((("火车", "train"), ("飞机", "plane"))), d.chance(0.5)
    d.bond("train", name, words)
    verb, leaves = ("出发", "leaves") if go else ("到", "arrives")
    way, to = ("去", "to") if go else ("从", "from")
    origin = f"{way}{city}的" if go else f"{way}{city}来的"
    return both(f"{origin}{kind[0]}{moment}{verb}", f"the {kind[1]} {to} {name} {leaves} at {words} in the {part}")


def rising(d: Draw) -> Sentence:
    """安娜每天早上六点半起床。"""
    who, (moment, words, part) = anybody(d), clock(d)
    verb, does = d.pick(DAILY[part])
    living = third(does) if who.person == 2 else does
    return both(f"{who.chinese}每天{moment}{verb}", f"{who.english} {living} at {words} every {part}")


def today(d: Draw) -> Sentence:
    """今天是五月三号，星期一。"""
    chinese, english = date(d)
    (opening, words), day = (
        d.pick((("今天", "today is"), ("明天", "tomorrow is"), ("昨天", "yesterday was"))),
        d.between(0, 6),
    )
    if d.chance(0.3):
        return both(f"{opening}是{chinese}", f"{words} {english}")
    return both(f"{opening}是{chinese}，{CHINESE_DAYS[day]}", f"{words} {ENGLISH_DAYS[day]}, {english}")


def birthday(d: Draw) -> Sentence:
    who = known(d)
    chinese, english = date(d)
    d.bond("birthday", who.english, english)
    return both(f"{who.chinese}的生日是{chinese}", f"{who.english}'s birthday is on {english}")


def born(d: Draw) -> Sentence:
    """安娜是1998年5月3日出生的。"""
    who, month, year = known(d), d.between(1, 12), d.between(1970, 1999)
    day = d.between(1, MONTH_LENGTHS[month - 1])
    d.bond("born", who.english, str(year))
    return both(
        f"{who.chinese}是{year}年{month}月{day}日出生的",
        f"{who.english} was born on {day} {ENGLISH_MONTHS[month - 1]} {year}",
    )


def home(d: Draw) -> Sentence:
    """安娜住在北京。 安娜来自上海。 你住在北京吗？"""
    who, (city, name) = anybody(d), d.pick(CITY_WORDS)
    d.bond("home", who.english, city)
    verb, live, at = d.pick((("住在", "live", "in"), ("来自", "come", "from")))
    if d.chance(0.2):
        does = "does" if who.person == 2 else "do"
        return both(f"{who.chinese}{verb}{city}吗", f"{does} {who.english} {live} {at} {name}", "?")
    return both(f"{who.chinese}{verb}{city}", f"{who.english} {third(live) if who.person == 2 else live} {at} {name}")


def profession(d: Draw) -> Sentence:
    """安娜是老师。 安娜想当老师。 安娜不是老师。"""
    who, (noun, english) = known(d), d.pick(PEOPLE_WORDS)
    while not who.pronoun:
        who = known(d)
    d.bond("profession", who.english, noun)
    verb, words = d.pick((("是", "is"), ("不是", "is not"), ("想当", "wants to become")))
    return both(f"{who.chinese}{verb}{noun}", f"{who.english} {words} {article(english)}")


def compared(d: Draw) -> Sentence:
    """安娜比彼得高。 这辆汽车比那辆汽车贵。"""
    if d.chance(0.4):
        group = d.pick(("clothes", "tool", "vehicle"))
        one, another = d.pick(NOUN[group]), d.pick(NOUN[group])
        chinese, english = d.pick(couples(THINGS_COMPARED))
        (first, words), (second, text) = (
            noun_phrase(one, (), "这" + one.measure, "this"), noun_phrase(another, (), "那" + another.measure, "that")
        )  # fmt: skip
        return both(f"{first}比{second}{chinese}", f"{words} is {english} than {text}")
    who = anybody(d)
    whom = other(d, who)
    chinese, english = d.pick(couples(PERSONS_COMPARED))
    return both(
        f"{who.chinese}比{whom.chinese}{chinese}",
        f"{who.english} {BE[who.person]} {english} than {whom.english_object}",
    )


def spot(d: Draw) -> tuple[str, str]:
    (chinese, english), (side, where) = d.pick(SUPPORTS), d.pick(SPOTS)
    return chinese + side, f"{where} the {english}"


def there_is(d: Draw) -> Sentence:
    """桌子上有三本书。 公园里有两只小狗。"""
    group = d.pick(("book", "clothes", "tool", "animal", "food"))
    number = d.pick((1, 1, d.between(2, 12)))
    chinese, english = measured(d.pick(NOUN[group]), described(d, group, 0.4), number)
    where, place = spot(d)
    if group == "animal":
        park, preposition, name = d.pick(PLACE_WORDS)
        where, place = f"{park}里", f"{preposition} the {name}"
    d.bond("there", chinese, place)
    return both(f"{where}有{chinese}", f"there {'is' if number == 1 else 'are'} {english} {place}")


def position(d: Draw) -> Sentence:
    """我的书在桌子上。 安娜把这本书放在桌子上了。"""
    group = d.pick(("book", "clothes", "thing", "food"))
    noun = d.pick(NOUN[group])
    chinese, english = pointed(d, noun, described(d, group, 0.3))
    where, place = spot(d)
    while where.startswith(noun.chinese):
        where, place = spot(d)
    d.bond("position", noun.chinese, place)
    if d.chance(0.3):
        be = "are" if english.startswith("th") and english.split()[0] in ("these", "those") else "is"
        return both(f"{chinese}在{where}", f"{english} {be} {place}")
    who, tense = anybody(d), d.pick(("past", "past", "future", "want", "should"))
    when, moment = time(d, tense) if d.chance(0.3) else ("", "")
    helper, done = {"past": ("", "了"), "future": ("会", ""), "want": ("想", ""), "should": ("应该", "")}[tense]
    text = statement(who.english, who.person, PUT.english, tense, join(english, place, moment))
    return both(f"{who.chinese}{when}{helper}把{chinese}放在{where}{done}", text)


def owned(d: Draw) -> Sentence:
    """这是我的新书。 那辆红色的汽车是安娜的。"""
    group = d.pick(("book", "clothes", "thing", "vehicle", "animal"))
    noun, adjective = d.pick(NOUN[group]), described(d, group, 0.5)
    word, words = d.pick((("这", "this"), ("那", "that")))
    if d.chance(0.4):
        owner = d.pick(tuple(OWNERS))
        chinese, english = noun_phrase(noun, adjective, f"{owner}的", OWNERS[owner])
        return both(f"{word}是{chinese}", f"{words} is {english}")
    chinese, english = noun_phrase(noun, adjective, word + noun.measure, words)
    whom = anybody(d)
    d.bond("belongs", noun.chinese, whom.english)
    return both(f"{chinese}是{whom.chinese}的", f"{english} belongs to {whom.english_object}")


def having(d: Draw) -> Sentence:
    """安娜有三只猫。 你有自行车吗？ 安娜没有自行车。"""
    who, group, kind = anybody(d), d.pick(("animal", "vehicle", "thing", "tool", "clothes")), d.random()
    noun = d.pick(NOUN[group])
    d.bond("object", "有", noun.chinese)
    have = verbs("有 have had having |")[0].english
    if kind < 0.4:
        one = article(noun.english.format(""))
        if kind < 0.2:
            return both(f"{who.chinese}没有{noun.chinese}", negation(who.english, who.person, have, "habit", one))
        return both(f"{who.chinese}有{noun.chinese}吗", question(who.english, who.person, have, "habit", one), "?")
    chinese, english = measured(noun, described(d, group, 0.5), d.pick((1, 1, d.between(2, 12))))
    return both(f"{who.chinese}有{chinese}", statement(who.english, who.person, have, "habit", english))


def looking(d: Draw) -> Sentence:
    """这本书很贵。 那件衬衫不便宜。 这把椅子新吗？"""
    group, kind = d.pick(("clothes", "thing", "vehicle", "furniture")), d.random()
    noun, (chinese, english) = d.pick(NOUN[group]), d.pick(couples(THING_STATES))
    word, words = d.pick((("这", "this"), ("那", "that")))
    colour = d.pick((("红色的", "red"), ("黑色的", "black"), ("白色的", "white"), ()))
    what, text = noun_phrase(noun, colour, word + noun.measure, words)
    d.bond("looks", noun.chinese, chinese)
    if kind < 0.25:
        return both(f"{what}不{chinese}", f"{text} is not {english}")
    if kind < 0.5:
        return both(f"{what}{chinese}吗", f"is {text} {english}", "?")
    return both(f"{what}很{chinese}", f"{text} is very {english}")


def liking(d: Draw) -> Sentence:
    """安娜不喜欢这条红色的裙子。"""
    who, group = anybody(d), d.pick(("book", "clothes", "thing", "vehicle", "animal"))
    noun = d.pick(NOUN[group])
    d.bond("object", "喜欢", noun.chinese)
    chinese, english = pointed(d, noun, described(d, group, 0.5))
    like = verbs("喜欢 like liked liking |")[0].english
    if d.chance(0.35):
        return both(f"{who.chinese}不喜欢{chinese}", negation(who.english, who.person, like, "habit", english))
    return both(f"{who.chinese}喜欢{chinese}", statement(who.english, who.person, like, "habit", english))


PATTERNS: dict[Callable[[Draw], Sentence], int] = {
    price: 6, age: 4, pages: 1, show: 3, train: 3, rising: 3, today: 2, birthday: 3, born: 3, home: 3, profession: 2,
    compared: 3, there_is: 4, position: 5, owned: 4, having: 3, looking: 3, liking: 3,
}  # fmt: skip
