"""Clock times, dates and prices in English, German and Chinese.

A clock time is (hour 1 to 12, minute in ``MINUTES``), spoken the everyday way; German counts the half hour towards
the next full hour, so that 2:30 is "halb drei".
"""

from .numbers import (
    chinese_count,
    chinese_number,
    english_number,
    english_ordinal,
    german_number,
    german_ordinal,
)

MINUTES = (0, 0, 5, 10, 15, 20, 30, 30, 40, 45, 50, 55)
ENGLISH_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
GERMAN_MONTHS = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
]
ENGLISH_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
GERMAN_DAYS = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"]
CHINESE_DAYS = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期天"]
MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def english_clock(hour: int, minute: int) -> str:
    """(2, 30) -> half past two; (2, 45) -> a quarter to three; (2, 0) -> two o'clock."""
    if minute == 0:
        return f"{english_number(hour)} o'clock"
    if minute == 30:
        return f"half past {english_number(hour)}"
    distance = minute if minute < 30 else 60 - minute
    words = "a quarter" if distance == 15 else english_number(distance)
    return f"{words} past {english_number(hour)}" if minute < 30 else f"{words} to {english_number(hour % 12 + 1)}"


def german_clock(hour: int, minute: int) -> str:
    """(2, 30) -> halb drei; (2, 45) -> Viertel vor drei; (1, 0) -> ein Uhr, but (1, 10) -> zehn nach eins."""
    if minute == 0:
        return "ein Uhr" if hour == 1 else f"{german_number(hour)} Uhr"
    following = german_number(hour % 12 + 1)
    if minute == 30:
        return f"halb {following}"
    distance = minute if minute < 30 else 60 - minute
    words = "Viertel" if distance == 15 else german_number(distance)
    return f"{words} nach {german_number(hour)}" if minute < 30 else f"{words} vor {following}"


def chinese_clock(hour: int, minute: int) -> str:
    """(2, 30) -> 两点半; (2, 15) -> 两点一刻; (2, 45) -> 差一刻三点; (2, 5) -> 两点零五分."""
    here, following = chinese_count(hour) + "点", chinese_count(hour % 12 + 1) + "点"
    if minute == 0:
        return here
    if minute == 30:
        return here + "半"
    if minute > 30:
        return "差" + ("一刻" if minute == 45 else chinese_number(60 - minute) + "分") + following
    if minute == 15:
        return here + "一刻"
    return here + ("零" if minute < 10 else "") + chinese_number(minute) + "分"


def english_date(day: int, month: int) -> str:
    """(3, 5) -> the third of May."""
    return f"the {english_ordinal(day)} of {ENGLISH_MONTHS[month - 1]}"


def german_date(day: int, month: int, ending: str) -> str:
    """(3, 5, "en") -> dritten Mai; the ending is the adjective's: der dritte Mai, am dritten Mai."""
    return f"{german_ordinal(day)}{ending} {GERMAN_MONTHS[month - 1]}"


def chinese_date(day: int, month: int) -> str:
    """(3, 5) -> 五月三号."""
    return f"{chinese_number(month)}月{chinese_number(day)}号"


def english_price(euros: int, cents: int) -> str:
    """(3, 50) -> three euros fifty."""
    whole = "one euro" if euros == 1 else f"{english_number(euros)} euros"
    return f"{whole} {english_number(cents)}" if cents else whole


def german_price(euros: int, cents: int) -> str:
    """(3, 50) -> drei Euro fünfzig; (1, 0) -> einen Euro, since kosten takes the accusative."""
    if euros == 1:
        return f"ein Euro {german_number(cents)}" if cents else "einen Euro"
    return f"{german_number(euros)} Euro" + (f" {german_number(cents)}" if cents else "")


def english_yuan(yuan: int, tenths: int) -> str:
    """(3, 5) -> three yuan fifty."""
    return f"{english_number(yuan)} yuan" + (f" {english_number(10 * tenths)}" if tenths else "")


def chinese_price(yuan: int, tenths: int) -> str:
    """(3, 5) -> 三块五; (3, 0) -> 三块钱; (2, 0) -> 两块钱."""
    return chinese_count(yuan) + "块" + (chinese_number(tenths) if tenths else "钱")
