"""``allyouneed data check``: looks for what spoils a parallel corpus, and goes on past the first fault.

What makes training wrong is an error: different line counts, lines that are no UTF-8. What may be meant, or
costs only a little, is a warning with line numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from allyouneed.data import line_checks
from allyouneed.data.files import check_text, read_bytes, split_lines
from allyouneed.data.parallel import (
    VAL_NAMES,
    Folder,
    existing_path,
    find_languages,
    heldout_names,
    list_folder,
)
from allyouneed.data.tables import parse_columns
from allyouneed.errors import UserError

Severity = Literal["ok", "warning", "error"]
UnknownRate = Callable[[list[str]], float]
RoundTrip = Callable[[list[str]], list[int]]

SHOWN_LINES = 5
UNKNOWN_LIMIT = 0.01  # more unknown tokens than this are a warning
MARKS = {"ok": Text("✓", "green"), "warning": Text("!", "yellow"), "error": Text("✗", "bold red")}


@dataclass(frozen=True)
class Finding:
    """One result: which ``check``, ``where`` (file or split), and of ``found`` lines the first five numbers.

    Line numbers count from 1.
    """

    severity: Severity
    check: str
    where: str
    sentence: str
    lines: tuple[int, ...] = ()
    found: int = 0


@dataclass
class Report:
    """All findings about one corpus, in the order in which they were made."""

    path: Path
    source_language: str
    target_language: str
    findings: list[Finding] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """1 if training on this corpus would go wrong, else 0: warnings are no failure."""
        return int(self.count("error") > 0)

    def add(self, severity: Severity, check: str, where: str, sentence: str, lines: Sequence[int] = ()) -> None:
        self.findings.append(Finding(severity, check, where, sentence, tuple(lines[:SHOWN_LINES]), len(lines)))


class Split(NamedTuple):
    """The lines of one split, its sides possibly of different length; ``numbers`` are a table's lines."""

    name: str
    names: tuple[str, str]
    sides: tuple[list[str], list[str]]
    numbers: list[int] | None = None

    def numbers_of(self, indices: Sequence[int]) -> list[int]:
        """Line numbers in the file, from 1."""
        return [i + 1 if self.numbers is None else self.numbers[i] for i in indices]


def check_corpus(
    path: str | Path,
    source: str | None = None,
    target: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    unknown_rate: UnknownRate | None = None,
    round_trip: RoundTrip | None = None,
) -> Report:
    """Checks a folder or a table as ``read_corpus`` would read it.

    ``unknown_rate(lines)`` gives the share of unknown tokens (0 to 1) that a subword model makes of the
    lines, and ``round_trip(lines)`` the numbers, from 1, of the lines that it does not give back as they
    were; both are called for each side of each split, and left out if None. UserError only where there is
    nothing to check: no such folder, language or column.
    """
    path = existing_path(path)
    if path.is_dir():
        folder = list_folder(path)
        source, target = find_languages(path, folder, source, target)
        report = Report(path, source, target)
        splits = _folder_splits(report, folder)
    else:
        columns = (source_column or source, target_column or target)
        report = Report(path, source or str(columns[0]), target or str(columns[1]))
        splits = _table_splits(report, *columns)
    for split in splits:
        _check_sides(report, split, unknown_rate, round_trip)
        if len(split.sides[0]) == len(split.sides[1]):
            _check_pairs(report, split)
    _check_overlap(report, splits)
    return report


def _folder_splits(report: Report, folder: Folder) -> list[Split]:
    languages = (report.source_language, report.target_language)
    vals = [name for name in VAL_NAMES if set(languages) & folder.get(name, {}).keys()]
    names = ["train", *vals, *heldout_names(folder, *languages)]
    splits = []
    for name in names:
        files = [folder.get(name, {}).get(language) for language in languages]
        sides = []
        for language, file in zip(languages, files, strict=True):
            sides.append(_load(report, file) if file else [])
            if not file:
                report.add("error", "files", name, f"There is no {name}.{language} beside the other side.")
        split = Split(name, (f"{name}.{languages[0]}", f"{name}.{languages[1]}"), (sides[0], sides[1]))
        _check_counts(report, split)
        splits.append(split)
    if not vals:
        report.add("ok", "files", "val", "No val set: one is split off train automatically, by the seed.")
    return splits


def _table_splits(report: Report, source_column: str | None, target_column: str | None) -> list[Split]:
    try:
        text = _decode(report, report.path, read_bytes(report.path))
    except UserError as fault:
        report.add("error", "encoding", report.path.name, str(fault))
        return []
    table = parse_columns(report.path, text, source_column, target_column)
    names = (f"column {source_column}", f"column {target_column}")
    split = Split(report.path.name, names, (table.source, table.target), table.lines)
    _check_counts(report, split)
    return [split]


def _load(report: Report, file: Path) -> list[str]:
    """The file's lines as far as they can be read at all; what cannot is reported."""
    try:
        return split_lines(_decode(report, file, read_bytes(file)))
    except UserError as fault:
        report.add("error", "encoding", file.name, str(fault))
        return []


def _decode(report: Report, file: Path, data: bytes) -> str:
    check_text(file, data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        bad = [i for i, line in enumerate(data.split(b"\n"), 1) if not _is_utf8(line)]
        report.add("error", "encoding", file.name, f"{_lines(bad)} not valid UTF-8: convert the file.", bad)
        return data.decode("utf-8", errors="ignore")  # replacing would add U+FFFD, another finding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lines(found: Sequence[int]) -> str:
    return "1 line is" if len(found) == 1 else f"{len(found):,} lines are"


def _check_counts(report: Report, split: Split) -> None:
    source, target = (len(side) for side in split.sides)
    if source == target and source:
        report.add("ok", "line counts", split.name, f"{source:,} pairs of lines.")
    elif source == target:
        report.add("error", "line counts", split.name, "There are no lines.")
    else:
        first = min(source, target) + 1
        counts = f"{split.names[0]} has {source:,} lines and {split.names[1]} has {target:,}"
        report.add("error", "line counts", split.name, f"{counts}: from line {first:,} on no partner.", [first])


def _check_sides(report: Report, split: Split, unknown_rate: UnknownRate | None, round_trip: RoundTrip | None) -> None:
    for name, lines in zip(split.names, split.sides, strict=True):
        _judge(report, split, "empty lines", name, line_checks.empty(lines), "empty")
        faults = {
            "damaged (the replacement character U+FFFD)": line_checks.replaced(lines),
            "holding control characters or line separators": line_checks.control(lines),
            'mojibake, such as "Ã¤" for "ä" (UTF-8 read as Windows-1252)': line_checks.mojibake(lines),
        }
        for what, found in faults.items():
            if found:
                _judge(report, split, "encoding", name, found, what)
        if not any(faults.values()):
            _judge(report, split, "encoding", name, [], "damaged")
        if unknown_rate is not None and lines:
            rate = unknown_rate(lines)
            severity: Severity = "warning" if rate > UNKNOWN_LIMIT else "ok"
            report.add(severity, "unknown tokens", name, f"{rate:.2%} of the tokens are unknown.")
        if round_trip is not None and lines:
            changed = [number - 1 for number in round_trip(lines)]
            _judge(report, split, "round trip", name, changed, "changed by tokenising and joining again")


def _judge(report: Report, split: Split, check: str, where: str, found: list[int], what: str) -> None:
    """A warning with line numbers if anything was found (indices from 0), else ok."""
    if found:
        report.add("warning", check, where, f"{_lines(found)} {what}.", split.numbers_of(found))
    else:
        report.add("ok", check, where, f"No line is {what}.")


def _check_pairs(report: Report, split: Split) -> None:
    middle, far = line_checks.ratio_outliers(*split.sides)
    usual = f"{line_checks.RATIO_FACTOR:g} times longer or shorter than usual (median ratio {middle:.2f})"
    _judge(report, split, "length ratio", split.name, far, usual)
    again = line_checks.duplicates(*split.sides)
    _judge(report, split, "duplicates", split.name, again, "a pair seen before")


def _check_overlap(report: Report, splits: list[Split]) -> None:
    """Held-out lines that stand in train make scores too good, as sources and as references."""
    if not splits or splits[0].name != "train":
        return
    trained = [line_checks.keys(side) for side in splits[0].sides]
    for split in splits[1:]:
        for name, side, keys in zip(split.names, split.sides, trained, strict=True):
            _judge(report, split, "overlap", name, line_checks.overlap(side, keys), "also in train")


def render(report: Report) -> RenderableType:
    """The report as a table for a rich console, one row per finding, and a sentence that sums it up."""
    pair = f"{report.source_language}-{report.target_language}"
    table = RichTable(title=Text(f"{report.path} ({pair})"), title_justify="left", box=None, pad_edge=False)
    for heading in ("", "check", "where", "finding", "lines"):
        table.add_column(heading, overflow="fold")
    for finding in report.findings:
        numbers = ", ".join(map(str, finding.lines)) + (" ..." if finding.found > SHOWN_LINES else "")
        texts = (Text(part) for part in (finding.check, finding.where, finding.sentence, numbers))
        table.add_row(MARKS[finding.severity], *texts)
    errors, warnings = report.count("error"), report.count("warning")
    advice = "Training on it would go wrong: mend the errors first." if errors else "It can be trained on."
    return Group(table, Text(f"{errors} error(s), {warnings} warning(s). {advice}"))
