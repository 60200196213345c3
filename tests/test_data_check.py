"""The data check finds each fault that was put into a small corpus, and goes on past the first."""

import gzip
import io
from pathlib import Path

import pytest
from rich.console import Console

from allyouneed.data import line_checks
from allyouneed.data.check import Finding, Report, check_corpus, render
from allyouneed.errors import UserError

SHARED = Path(__file__).parents[2] / "shared" / "data"

# Lines that may look like mojibake to a coarse pattern, and are none.
HONEST = [
    "Grüße, „Spaß“",
    "CAFÉ»",
    "Größe – ja",
    "“É”",
    "AMANHÃ”",
    "10 £ ½ °C",
    "Àé ñ",
    "привет",
    "你好",
    "SEÑ”",
]


def write(folder: Path, **files: list[str]) -> Path:
    for name, lines in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_bytes("".join(line + "\n" for line in lines).encode())
    return folder


def sentences(word: str, count: int, start: int = 0) -> list[str]:
    return [f"{word} one two three four five six {i}" for i in range(start, start + count)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    files = {f"train_{side}": sentences(side, 20) for side in ("de", "en")}
    files |= {f"val_{side}": sentences(side, 3, 50) for side in ("de", "en")}
    return write(tmp_path, **files, test_de=sentences("de", 3, 60), test_en=sentences("en", 3, 60))


def faults(report: Report) -> list[tuple[str, str, str, tuple[int, ...]]]:
    return [(f.severity, f.check, f.where, f.lines) for f in report.findings if f.severity != "ok"]


def test_a_clean_corpus(corpus: Path) -> None:
    report = check_corpus(corpus)
    assert faults(report) == [] and report.exit_code == 0
    checks = {finding.check for finding in report.findings}
    assert checks == {"line counts", "empty lines", "encoding", "length ratio", "duplicates", "overlap"}


def change(file: Path, number: int, line: str) -> None:
    lines = file.read_text().split("\n")
    lines[number - 1] = line
    file.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("check", "name", "line"),
    [
        ("empty lines", "train.de", " \t"),
        ("encoding", "train.de", "de one two three four five six 6\ufffd"),
        ("encoding", "train.en", "en one two three four five\x0bsix 6"),
        ("encoding", "train.en", "en one two three four five\u2028six 6"),
        ("encoding", "train.de", "de one two three four fÃ¼nf six 6"),
    ],
)
def test_a_fault_in_one_line(corpus: Path, check: str, name: str, line: str) -> None:
    change(corpus / name, 7, line)
    report = check_corpus(corpus, "de", "en")
    assert faults(report) == [("warning", check, name, (7,))] and report.exit_code == 0


def test_length_ratio_and_duplicates(corpus: Path) -> None:
    change(corpus / "train.en", 4, "word " * 40)
    change(corpus / "train.de", 9, "DE one two three four  five six 2")
    change(corpus / "train.en", 9, "en one two three four five six 2")
    wanted = [("warning", "length ratio", "train", (4,)), ("warning", "duplicates", "train", (9,))]
    assert faults(check_corpus(corpus)) == wanted


def test_length_ratio_counts_characters_where_there_are_no_spaces() -> None:
    source = ["我今天早上在火车站看见了他的哥哥。"] * 9 + ["好。"]
    target = ["I saw his brother at the station this morning ."] * 9 + ["I saw his brother at the station ."]
    middle, far = line_checks.ratio_outliers(source, target)
    assert far == [9] and 0.5 < middle < 0.7
    assert line_checks.ratio_outliers(["a"] * 9, ["b c d e f"] * 8 + ["b"])[1] == []  # too short to tell


def test_overlap_with_train(corpus: Path) -> None:
    change(corpus / "test.de", 2, "de one two three four five six 3")
    change(corpus / "val.en", 3, "En one two three four five six 3")
    wanted = [("warning", "overlap", "val.en", (3,)), ("warning", "overlap", "test.de", (2,))]
    assert faults(check_corpus(corpus)) == wanted


def test_different_line_counts_do_not_end_the_check(corpus: Path) -> None:
    with (corpus / "train.en").open("a") as file:
        file.write("\n")
    report = check_corpus(corpus)
    assert faults(report) == [
        ("error", "line counts", "train", (21,)),
        ("warning", "empty lines", "train.en", (21,)),
    ]
    assert report.exit_code == 1
    assert "train.de has 20 lines and train.en has 21" in report.findings[0].sentence


def test_unreadable_files_do_not_end_the_check(corpus: Path) -> None:
    (corpus / "train.de").write_bytes((corpus / "train.de").read_bytes().replace(b"six 4", b"six \xe4"))
    (corpus / "val.de").write_bytes(b"a\0b\n")
    (corpus / "test.en").rename(corpus / "test.en.gz")
    report = check_corpus(corpus)
    errors = [(f.check, f.where, f.lines) for f in report.findings if f.severity == "error"]
    assert errors == [
        ("encoding", "train.de", (5,)),
        ("encoding", "val.de", ()),
        ("line counts", "val", (1,)),
        ("encoding", "test.en.gz", ()),
        ("line counts", "test", (1,)),
    ]
    assert report.exit_code == 1


def test_a_side_of_val_is_missing_and_train_is_empty(corpus: Path) -> None:
    (corpus / "val.en").unlink()
    write(corpus, train_de=[], train_en=[])
    errors = [(f.check, f.where) for f in check_corpus(corpus).findings if f.severity == "error"]
    assert errors == [("line counts", "train"), ("files", "val"), ("line counts", "val")]


def test_no_val_is_no_fault(corpus: Path) -> None:
    for side in ("de", "en"):
        (corpus / f"val.{side}").unlink()
    report = check_corpus(corpus)
    assert report.exit_code == 0 and any("split off" in finding.sentence for finding in report.findings)


def test_callables_of_the_subword_model(corpus: Path) -> None:
    report = check_corpus(
        corpus,
        unknown_rate=lambda lines: 0.02 if lines[0].startswith("de") else 0.0,
        round_trip=lambda lines: [
            i for i, line in enumerate(lines, 1) if line.endswith("en one two three four five six 3")
        ],
    )
    assert faults(report) == [
        ("warning", "unknown tokens", "train.de", ()),
        ("warning", "round trip", "train.en", (4,)),
        ("warning", "unknown tokens", "val.de", ()),
        ("warning", "unknown tokens", "test.de", ()),
    ]
    assert any("2.00%" in finding.sentence for finding in report.findings)


def test_a_table_with_its_own_line_numbers(tmp_path: Path) -> None:
    rows = ["de\ten", *("\t".join(pair) for pair in zip(sentences("de", 9), sentences("en", 9), strict=True))]
    rows[5:5] = ["", "\tnothing here"]
    (tmp_path / "a.tsv").write_text("\n".join(rows))
    report = check_corpus(tmp_path / "a.tsv", "de", "en")
    assert faults(report) == [("warning", "empty lines", "column de", (7,))]
    (tmp_path / "a.tsv").write_bytes("\n".join(rows).encode() + b"\nf\xfcr\tfor\n")
    assert faults(check_corpus(tmp_path / "a.tsv", "de", "en"))[0] == ("error", "encoding", "a.tsv", (13,))
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 99)[:-9])
    assert check_corpus(tmp_path / "b.tsv.gz", "1", "2").exit_code == 1


def test_nothing_to_check_is_an_error_of_the_user(corpus: Path) -> None:
    for path, source in ((corpus / "no", "de"), (corpus, "fr")):
        with pytest.raises(UserError):
            check_corpus(path, source, "en")


def test_mojibake_is_told_from_honest_text() -> None:
    spoiled = [text.encode().decode("cp1252", errors="replace") for text in ("für", "naïve", "‘so’", "你好", "да и")]
    spoiled += ["für".encode().decode("latin-1"), "5 Â£"]
    assert line_checks.mojibake(spoiled) == list(range(len(spoiled)))
    assert line_checks.mojibake(HONEST) == []


def test_at_most_five_line_numbers_are_kept() -> None:
    report = Report(Path("x"), "de", "en")
    report.add("warning", "empty lines", "train.de", "7 lines are empty.", list(range(1, 8)))
    assert report.findings == [Finding("warning", "empty lines", "train.de", "7 lines are empty.", (1, 2, 3, 4, 5), 7)]


def test_the_rendered_report(corpus: Path) -> None:
    change(corpus / "train.de", 7, "")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(check_corpus(corpus)))
    text = console.export_text()
    assert "1 line is empty." in text and "0 error(s), 1 warning(s)" in text and "train.de" in text


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is absent")
def test_multi30k_has_warnings_only() -> None:
    report = check_corpus(SHARED / "multi30k", "de", "en")
    assert report.exit_code == 0 and 0 < report.count("warning") < 6
