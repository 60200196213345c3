"""The embedded corpus: facts of three grammars worked by hand, and the promises that the splits make."""

import re
from collections import Counter
from functools import cache
from itertools import islice

import pytest

from allyouneed.data.grammar import PAIRS, PATTERNS, generate, german_words
from allyouneed.data.grammar.chinese import Event, denied, measured, noun_phrase, said
from allyouneed.data.grammar.chinese_words import NOUN as CHINESE_NOUN
from allyouneed.data.grammar.corpus import is_held_out, stream, words
from allyouneed.data.grammar.english import EnglishVerb, article, negation, plural, question, statement, third
from allyouneed.data.grammar.german import Adjective, Noun, contract, declined, phrase, present, sub_clause, verb_group
from allyouneed.data.grammar.numbers import (
    chinese_count,
    chinese_number,
    english_number,
    english_ordinal,
    german_number,
    german_ordinal,
)
from allyouneed.data.grammar.times import (
    chinese_clock,
    chinese_date,
    chinese_price,
    english_clock,
    english_date,
    english_price,
    english_yuan,
    german_clock,
    german_date,
    german_price,
)
from allyouneed.data.parallel import Corpus
from allyouneed.errors import UserError

HUND = Noun("Hund", "m", "Hunde", "dog")
KATZE = Noun("Katze", "f", "Katzen", "cat")
KIND = Noun("Kind", "n", "Kinder", "child")
JUNGE = Noun("Junge", "m", "Jungen", "boy", "Jungen")
OLD, TIRED = Adjective("alt", "old"), Adjective("müde", "tired")
BUY = EnglishVerb("buy", "bought", "buying")


@pytest.mark.parametrize(
    ("word", "noun", "case", "number", "expected"),
    [
        ("der", HUND, "nom", "s", "der alte Hund"),
        ("der", HUND, "acc", "s", "den alten Hund"),
        ("der", HUND, "dat", "s", "dem alten Hund"),
        ("der", KATZE, "nom", "s", "die alte Katze"),
        ("der", KATZE, "acc", "s", "die alte Katze"),
        ("der", KATZE, "dat", "s", "der alten Katze"),
        ("der", KIND, "nom", "s", "das alte Kind"),
        ("der", KIND, "acc", "s", "das alte Kind"),
        ("der", KIND, "dat", "s", "dem alten Kind"),
        ("der", KIND, "nom", "p", "die alten Kinder"),
        ("der", KIND, "dat", "p", "den alten Kindern"),
        ("ein", HUND, "nom", "s", "ein alter Hund"),
        ("ein", HUND, "acc", "s", "einen alten Hund"),
        ("ein", HUND, "dat", "s", "einem alten Hund"),
        ("ein", KATZE, "acc", "s", "eine alte Katze"),
        ("ein", KATZE, "dat", "s", "einer alten Katze"),
        ("ein", KIND, "acc", "s", "ein altes Kind"),
        ("mein", KIND, "nom", "p", "meine alten Kinder"),
        ("kein", HUND, "acc", "s", "keinen alten Hund"),
        ("unser", KATZE, "dat", "s", "unserer alten Katze"),
        ("dieser", KIND, "nom", "s", "dieses alte Kind"),
        ("dieser", HUND, "acc", "s", "diesen alten Hund"),
        ("dieser", HUND, "nom", "p", "diese alten Hunde"),
        ("drei", HUND, "acc", "p", "drei alte Hunde"),
        ("drei", HUND, "dat", "p", "drei alten Hunden"),
        ("", Noun("Kaffee", "m", "-", "coffee"), "acc", "s", "alten Kaffee"),
        ("", Noun("Milch", "f", "-", "milk"), "acc", "s", "alte Milch"),
        ("", Noun("Wasser", "n", "-", "water"), "acc", "s", "altes Wasser"),
        ("der", JUNGE, "nom", "s", "der alte Junge"),
        ("der", JUNGE, "dat", "s", "dem alten Jungen"),
        ("ein", Noun("Auto", "n", "Autos", "car"), "dat", "s", "einem alten Auto"),
        ("der", Noun("Kamera", "f", "Kameras", "camera"), "dat", "p", "den alten Kameras"),
    ],
)
def test_german_agreement(word: str, noun: Noun, case: str, number: str, expected: str) -> None:
    assert declined(word, OLD, noun, case, number) == expected


def test_german_noun_phrase_carries_its_english() -> None:
    assert phrase("ein", OLD, KATZE).english == "an old cat"
    assert phrase("dieser", None, KIND, "p").english == "these children"
    assert declined("ein", TIRED, KIND, "nom") == "ein müdes Kind"  # the e of müde does not double
    assert [contract(text) for text in ("in dem Park", "in das Haus", "zu der Schule", "in der Stadt")] == [
        "im Park",
        "ins Haus",
        "zur Schule",
        "in der Stadt",
    ]


@pytest.mark.parametrize(
    ("infinitive", "forms"),
    [
        ("anrufen", "rufe rufst ruft rufen"),
        ("lesen", "lese liest liest lesen"),
        ("waschen", "wasche wäschst wäscht waschen"),
        ("arbeiten", "arbeite arbeitest arbeitet arbeiten"),
        ("tanzen", "tanze tanzt tanzt tanzen"),
        ("essen", "esse isst isst essen"),
        ("füttern", "füttere fütterst füttert füttern"),
        ("einladen", "lade lädst lädt laden"),
        ("vergessen", "vergesse vergisst vergisst vergessen"),
    ],
)
def test_german_present(infinitive: str, forms: str) -> None:
    tables = (german_words.TRANSITIVE, german_words.MEETING, german_words.STAYING, german_words.PUNCTUAL)
    verbs = [verb for table in tables for verb, _ in german_words.verbs(table)]
    verb = next(verb for verb in verbs if verb.prefix + verb.stem == infinitive)
    assert [present(verb, person) for person in range(4)] == forms.split()


def test_german_verb_places() -> None:
    call = next(verb for verb, _ in german_words.verbs(german_words.MEETING) if verb.prefix == "an")
    go = german_words.verbs(german_words.MOVING)[0][0]
    assert verb_group(call, "now", 2) == ("ruft", "an")
    assert verb_group(call, "past", 0) == ("habe", "angerufen")
    assert verb_group(call, "want", 2) == ("will", "anrufen")
    assert verb_group(go, "past", 2) == ("ist", "gegangen")
    assert sub_clause("er", verb_group(call, "now", 2), "now", "mich") == "er mich anruft"
    assert sub_clause("er", verb_group(call, "past", 2), "past", "mich") == "er mich angerufen hat"
    assert sub_clause("er", verb_group(call, "must", 2), "must", "mich") == "er mich anrufen muss"


def test_number_words() -> None:
    german = {0: "null", 1: "eins", 12: "zwölf", 16: "sechzehn", 17: "siebzehn", 21: "einundzwanzig", 30: "dreißig"}
    german |= {66: "sechsundsechzig", 77: "siebenundsiebzig", 100: "einhundert", 345: "dreihundertfünfundvierzig"}
    english = {13: "thirteen", 21: "twenty-one", 40: "forty", 100: "one hundred", 345: "three hundred and forty-five"}
    chinese = {
        2: "二",
        10: "十",
        12: "十二",
        20: "二十",
        35: "三十五",
        105: "一百零五",
        112: "一百一十二",
        250: "二百五十",
    }
    for function, cases in ((german_number, german), (english_number, english), (chinese_number, chinese)):
        assert {number: function(number) for number in cases} == cases
    assert [chinese_count(number) for number in (2, 12, 22)] == ["两", "十二", "二十二"]
    with pytest.raises(ValueError, match="1000"):
        german_number(1000)
    for function in (german_number, english_number, chinese_number):
        assert len({function(number) for number in range(1000)}) == 1000


def test_ordinals_and_dates() -> None:
    assert [german_ordinal(n) for n in (1, 3, 7, 8, 19, 20, 31)] == (
        ["erst", "dritt", "siebt", "acht", "neunzehnt", "zwanzigst", "einunddreißigst"]
    )
    assert [english_ordinal(n) for n in (1, 2, 3, 5, 9, 12, 20, 21, 30)] == (
        ["first", "second", "third", "fifth", "ninth", "twelfth", "twentieth", "twenty-first", "thirtieth"]
    )
    assert english_date(3, 5) == "the third of May"
    assert (german_date(3, 5, "en"), german_date(3, 5, "e")) == ("dritten Mai", "dritte Mai")
    assert chinese_date(31, 12) == "十二月三十一号"


@pytest.mark.parametrize(
    ("hour", "minute", "english", "german", "chinese"),
    [
        (2, 30, "half past two", "halb drei", "两点半"),
        (12, 30, "half past twelve", "halb eins", "十二点半"),
        (1, 0, "one o'clock", "ein Uhr", "一点"),
        (1, 10, "ten past one", "zehn nach eins", "一点十分"),
        (3, 15, "a quarter past three", "Viertel nach drei", "三点一刻"),
        (3, 45, "a quarter to four", "Viertel vor vier", "差一刻四点"),
        (11, 50, "ten to twelve", "zehn vor zwölf", "差十分十二点"),
        (12, 55, "five to one", "fünf vor eins", "差五分一点"),
        (2, 5, "five past two", "fünf nach zwei", "两点零五分"),
    ],
)
def test_clock(hour: int, minute: int, english: str, german: str, chinese: str) -> None:
    assert english_clock(hour, minute) == english
    assert german_clock(hour, minute) == german
    assert chinese_clock(hour, minute) == chinese


def test_prices() -> None:
    assert [german_price(*p) for p in ((3, 50), (1, 0), (1, 20), (21, 0))] == [
        "drei Euro fünfzig",
        "einen Euro",
        "ein Euro zwanzig",
        "einundzwanzig Euro",
    ]
    assert [english_price(*p) for p in ((3, 50), (1, 0), (21, 0))] == [
        "three euros fifty",
        "one euro",
        "twenty-one euros",
    ]
    assert [chinese_price(*p) for p in ((3, 5), (2, 0), (35, 8))] == ["三块五", "两块钱", "三十五块八"]
    assert english_yuan(3, 5) == "three yuan fifty"


def test_english_forms() -> None:
    assert [plural(n) for n in ("tomato", "bread roll", "woman", "day", "story", "dress")] == [
        "tomatoes",
        "bread rolls",
        "women",
        "days",
        "stories",
        "dresses",
    ]
    assert [third(v) for v in ("look for", "wash", "cry", "have to buy", "go", "play")] == [
        "looks for",
        "washes",
        "cries",
        "has to buy",
        "goes",
        "plays",
    ]
    assert (article("apple"), article("red apple")) == ("an apple", "a red apple")
    assert statement("Anna", 2, BUY, "now", "a hat") == "Anna is buying a hat"
    assert statement("Anna", 2, BUY, "habit", "a hat", "often") == "Anna often buys a hat"
    assert negation("we", 3, BUY, "past", "a hat") == "we did not buy a hat"
    assert negation("Anna", 2, BUY, "must", "a hat") == "Anna does not have to buy a hat"
    assert negation("Anna", 2, BUY, "can", "a hat") == "Anna cannot buy a hat"
    assert question("Anna", 2, BUY, "want", "a hat", "why") == "why does Anna want to buy a hat"


def test_chinese_measure_words_and_aspect() -> None:
    nouns = {noun.chinese: noun for group in CHINESE_NOUN.values() for noun in group}
    counted = {
        "书": "三本书",
        "猫": "三只猫",
        "马": "三匹马",
        "衬衫": "三件衬衫",
        "鞋": "三双鞋",
        "茶": "三杯茶",
        "信": "三封信",
    }
    counted |= {
        "桌子": "三张桌子",
        "雨伞": "三把雨伞",
        "汽车": "三辆汽车",
        "裙子": "三条裙子",
        "电脑": "三台电脑",
        "帽子": "三顶帽子",
    }
    assert {word: measured(nouns[word], (), 3)[0] for word in counted} == counted
    assert measured(nouns["书"], ("新", "new"), 2) == ("两本新书", "two new books")
    assert measured(nouns["苹果"], (), 1) == ("一个苹果", "an apple")
    assert measured(nouns["鞋"], ("红色的", "red"), 2) == ("两双红色的鞋", "two pairs of red shoes")
    assert noun_phrase(nouns["茶"], ("热", "hot"), "这杯", "this") == ("这杯热茶", "this cup of hot tea")
    reading = Event("在图书馆", "看", "书", EnglishVerb("read", "read", "reading"), "books")
    assert [said(reading, tense) for tense in ("habit", "now", "past", "future")] == [
        "在图书馆看书",
        "正在图书馆看书",
        "在图书馆看了书",
        "会在图书馆看书",
    ]
    assert [denied(reading, tense) for tense in ("past", "future", "must")] == [
        "没有在图书馆看书",
        "不会在图书馆看书",
        "不必在图书馆看书",
    ]


made = cache(generate)  # a corpus takes a second to make


@pytest.fixture(scope="module", params=["de-en", "zh-en"])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    return made(request.param)


def test_sizes_and_languages(corpus: Corpus) -> None:
    assert list(corpus.tests) == ["test"]
    assert len(corpus.train.source) >= 30_000
    assert (len(corpus.val.source), len(corpus.tests["test"].source)) == (500, 1000)
    assert all(len(text.source) == len(text.target) for text in (corpus.train, corpus.val, corpus.tests["test"]))
    assert (corpus.source_language, corpus.target_language) in {("de", "en"), ("zh", "en")}


def test_sentences_are_distinct_and_splits_disjoint(corpus: Corpus) -> None:
    texts = (corpus.train, corpus.val, corpus.tests["test"])
    for side in (0, 1):
        sentences = [sentence for text in texts for sentence in text[side]]
        assert len(set(sentences)) == len(sentences)


def test_every_word_was_seen(corpus: Corpus) -> None:
    for side in (0, 1):
        counts = Counter(word for sentence in corpus.train[side] for word in words(sentence))
        known = {word for word, count in counts.items() if count >= 5}
        for text in (corpus.val, corpus.tests["test"]):
            assert known.issuperset(word for sentence in text[side] for word in words(sentence))


def test_sentences_look_like_sentences(corpus: Corpus) -> None:
    marks = ".?。？"
    for side in (0, 1):
        for sentence in corpus.train[side]:
            assert sentence[-1] in marks and sentence == sentence.strip() and "  " not in sentence
            assert sentence[0].isupper() or (corpus.source_language == "zh" and side == 0)
            assert 2 <= len(words(sentence)) <= 40


@pytest.mark.parametrize("language", ["de", "zh"])
def test_held_out_combinations_are_in_test_alone(language: str) -> None:
    corpus = made(f"{language}-en")
    bonds = {pair.foreign: pair.bonds for pair in islice(stream(PATTERNS[language], 1), 60_000)}

    def held_out(sentence: str) -> bool:
        return any(is_held_out(1, bond) for bond in bonds[sentence])

    assert not any(held_out(sentence) for text in (corpus.train, corpus.val) for sentence in text.source)
    assert sum(held_out(sentence) for sentence in corpus.tests["test"].source) == 500


def test_held_out_objects_by_reading_the_text() -> None:
    """The same without trusting the record of bonds: no training sentence has the verb and, later on, the object."""
    train = "\n".join(made("zh-en").train.source)
    objects = [noun.chinese for group in CHINESE_NOUN.values() for noun in group]
    pairs = [(verb, noun) for verb in "买卖吃喝洗修喂借" for noun in objects]
    held_out = [(verb, noun) for verb, noun in pairs if is_held_out(1, ("object", verb, noun))]
    assert len(held_out) > 3
    for verb, noun in held_out:
        found = re.search(f"{verb}了?(?!给)[^，。？\n]{{0,9}}{noun}(?!里|上|下|旁|前|后)", train)
        assert found is None, found


@pytest.mark.parametrize("word", ["Klavier", "apple"])
def test_held_out_bond_depends_on_seed(word: str) -> None:
    bonds = [("object", str(number), word) for number in range(2000)]
    chosen = [{bond for bond in bonds if is_held_out(seed, bond)} for seed in (1, 2)]
    assert all(0 < len(some) < 200 for some in chosen) and chosen[0] != chosen[1]


@pytest.mark.parametrize("language", ["de", "zh"])
def test_the_mapping_is_a_function_both_ways(language: str) -> None:
    """Asked of the raw stream, before anything is removed."""
    to_english: dict[str, str] = {}
    from_english: dict[str, str] = {}
    for pair in islice(stream(PATTERNS[language], 3), 50_000):
        assert to_english.setdefault(pair.foreign, pair.english) == pair.english
        assert from_english.setdefault(pair.english, pair.foreign) == pair.foreign


def test_seed_decides() -> None:
    assert generate("de-en") == made("de-en")
    assert set(generate("de-en", 2).train.source) != set(made("de-en").train.source)


@pytest.mark.parametrize("language", ["de", "zh"])
def test_reversed_pair_is_the_mirror(language: str) -> None:
    there, back = made(f"{language}-en"), generate(f"en-{language}")
    assert (back.source_language, back.target_language) == ("en", language)
    assert there.train.source == back.train.target and there.train.target == back.train.source
    assert there.tests["test"].source == back.tests["test"].target


def test_unknown_pair() -> None:
    with pytest.raises(UserError, match=r"de-fr.*de-en, en-de, zh-en, en-zh"):
        generate("de-fr")
    assert PAIRS == ("de-en", "en-de", "zh-en", "en-zh")
