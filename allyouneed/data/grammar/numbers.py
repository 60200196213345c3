"""Numbers as words: cardinals and ordinals in English, German and Chinese."""

from functools import cache

ENGLISH_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
ENGLISH_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ENGLISH_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
GERMAN_ONES = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
GERMAN_TENS = ["-", "-", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
GERMAN_ORDINALS = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}
CHINESE_DIGITS = "零一二三四五六七八九"


def _check(number: int) -> None:
    if not 0 <= number <= 999:
        raise ValueError(f"number words are known from 0 to 999, not for {number}")


@cache
def english_number(number: int) -> str:
    """345 -> three hundred and forty-five; 0 to 999."""
    _check(number)
    if number >= 100:
        head = f"{ENGLISH_ONES[number // 100]} hundred"
        return f"{head} and {english_number(number % 100)}" if number % 100 else head
    if number < 20:
        return ENGLISH_ONES[number]
    tens = ENGLISH_TENS[number // 10]
    return f"{tens}-{ENGLISH_ONES[number % 10]}" if number % 10 else tens


@cache
def english_ordinal(number: int) -> str:
    """21 -> twenty-first."""
    head, hyphen, last = english_number(number).rpartition("-")
    return head + hyphen + ENGLISH_ORDINALS.get(last, last + "th")


@cache
def german_number(number: int) -> str:
    """345 -> dreihundertfünfundvierzig: units stand before tens, and eins loses its s inside a word."""
    _check(number)
    if number >= 100:
        hundreds = number // 100
        head = ("ein" if hundreds == 1 else GERMAN_ONES[hundreds]) + "hundert"
        return head + (german_number(number % 100) if number % 100 else "")
    if number < 20:
        return GERMAN_ONES[number]
    unit = number % 10
    front = ("ein" if unit == 1 else GERMAN_ONES[unit]) + "und" if unit else ""
    return front + GERMAN_TENS[number // 10]


@cache
def german_ordinal(number: int) -> str:
    """The stem that takes adjective endings: 3 -> dritt, 21 -> einundzwanzigst; 1 to 99."""
    if number in GERMAN_ORDINALS:
        return GERMAN_ORDINALS[number]
    return german_number(number) + ("t" if number < 20 else "st")


@cache
def chinese_number(number: int) -> str:
    """345 -> 三百四十五, 305 -> 三百零五, 12 -> 十二, 112 -> 一百一十二."""
    _check(number)
    if number >= 100:
        head, rest = CHINESE_DIGITS[number // 100] + "百", number % 100
        if not rest:
            return head
        if rest < 10:
            return head + "零" + CHINESE_DIGITS[rest]
        return head + ("一" if rest < 20 else "") + chinese_number(rest)
    if number < 10:
        return CHINESE_DIGITS[number]
    tens = "" if number < 20 else CHINESE_DIGITS[number // 10]
    return tens + "十" + (CHINESE_DIGITS[number % 10] if number % 10 else "")


def chinese_count(number: int) -> str:
    """The number before a measure word: two is 两 there (两本书), but twelve stays 十二."""
    return "两" if number == 2 else chinese_number(number)
