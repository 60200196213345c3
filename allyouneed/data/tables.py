"""Tables of sentence pairs: one TSV, CSV or JSONL file, plain, .gz or alone in a .zip; two columns are read.

A column is named as in the header or, in TSV and CSV files without a header, numbered from 1. Tatoeba's
``English TAB Chinese TAB attribution`` is read with the columns 2 and 1 for Chinese-English.
"""

import csv
import io
import itertools
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from allyouneed.data.files import plain_name, read_text, split_lines, zip_member
from allyouneed.errors import UserError

FORMATS = {
    ".tsv": "tsv", ".tab": "tsv", ".txt": "tsv", ".csv": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
}  # fmt: skip


class Row(NamedTuple):
    """A row of the table: the number of its line in the file, from 1, and its fields."""

    line: int
    fields: list[str]


class Table(NamedTuple):
    """Two columns of equal length, and for each row the number of its line in the file."""

    source: list[str]
    target: list[str]
    lines: list[int]


def table_format(path: Path) -> str:
    """``tsv``, ``csv`` or ``jsonl``, read from the name (in a zip file: from its member's name)."""
    name = _zip_name(path) if path.suffix == ".zip" else plain_name(path)
    found = FORMATS.get(Path(name).suffix.lower())
    if found is None:
        raise UserError(f"{path} is no folder, and no table by its name: use .tsv, .csv, .jsonl (or .gz, .zip).")
    return found


def _zip_name(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return zip_member(path, archive)
    except (OSError, zipfile.BadZipFile) as fault:
        raise UserError(f"{path} cannot be unpacked as a zip file ({fault}).") from fault


def read_columns(path: Path, source: str | None, target: str | None) -> Table:
    """Two columns of the table, one item per row; blank lines are no rows.

    A column is given by name or, in TSV and CSV, by number from 1. If both are numbers there is no header.
    """
    return parse_columns(path, read_text(path), source, target)


def parse_columns(path: Path, text: str, source: str | None, target: str | None) -> Table:
    """``read_columns`` for text that was read already; ``path`` tells the format and stands in errors."""
    table = Table([], [], [])
    kind = table_format(path)
    if kind == "jsonl":
        _parse_jsonl(path, text, source, target, table)
    else:
        rows = tsv_rows(text) if kind == "tsv" else csv_rows(path, text)
        _parse_rows(path, rows, source, target, table)
    if not table.lines:
        raise UserError(f"{path} has no lines to read sentences from.")
    return table


def _parse_rows(path: Path, rows: Iterator[Row], source: str | None, target: str | None, table: Table) -> None:
    first = next(rows, None)
    if first is None:
        return
    indices = [_index(path, first.fields, column) for column in (source, target)]
    headless = _is_number(source) and _is_number(target)
    for row in itertools.chain([first] if headless else [], rows):
        if max(indices) >= len(row.fields):
            held = f"{len(row.fields)} column(s), but column {max(indices) + 1} is needed"
            raise UserError(f"{path}, line {row.line}: {held}.")
        table.source.append(one_line(row.fields[indices[0]]))
        table.target.append(one_line(row.fields[indices[1]]))
        table.lines.append(row.line)


def one_line(text: str) -> str:
    """A quoted field may hold line ends, a sentence may not: it would become two lines of output."""
    return re.sub(r"[\r\n]+", " ", text) if "\n" in text or "\r" in text else text


def _is_number(column: str | None) -> bool:
    return column is not None and column.isascii() and column.isdigit()


def _index(path: Path, first: list[str], column: str | None) -> int:
    """Index from 0. Digits are always a number: a headerless file may have the sentence "2" in line 1."""
    if column is not None and _is_number(column):
        if 1 <= int(column) <= len(first):
            return int(column) - 1
    elif column in first:
        return first.index(column)
    asked = "no columns were named for the two sides" if column is None else f"there is no column {column!r}"
    raise UserError(
        f"{path}: {asked}; its first line has {_quoted(first)}: set --src and --tgt to two of these names"
        " or, where there is no header, to two column numbers, from 1."
    )


def _quoted(names: list[str]) -> str:
    shown = [name if len(name) <= 40 else name[:37] + "..." for name in names[:12]]
    return ", ".join(repr(name) for name in shown) + (", ..." if len(names) > 12 else "")


def tsv_rows(text: str) -> Iterator[Row]:
    """TSV has no quoting here: a quotation mark is a character of the sentence."""
    for number, line in enumerate(split_lines(text), 1):
        if line.strip():
            yield Row(number, line.split("\t"))


def csv_rows(path: Path, text: str) -> Iterator[Row]:
    """Rows of comma-separated (or semicolon-separated) text; a quoted field may hold line ends."""
    first = text.split("\n", 1)[0]
    # Spreadsheets write semicolons in countries where the comma stands inside numbers.
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    try:
        before = 0
        for fields in reader:
            if fields:
                yield Row(before + 1, fields)
            before = reader.line_num
    except csv.Error as fault:
        raise UserError(f"{path}, line {reader.line_num}: not valid CSV ({fault}): look for an open quote.") from fault


def _parse_jsonl(path: Path, text: str, source: str | None, target: str | None, table: Table) -> None:
    for number, line in enumerate(split_lines(text), 1):
        if line.strip():
            record = json_record(path, number, line)
            table.source.append(one_line(_json_field(path, number, record, source)))
            table.target.append(one_line(_json_field(path, number, record, target)))
            table.lines.append(number)


def json_record(path: Path, number: int, line: str) -> dict[str, Any]:
    """The object on a line; UserError where there is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise UserError(f"{path}, line {number}: not a JSON object ({fault}): write one object per line.") from fault
    if not isinstance(record, dict):
        raise UserError(f"{path}, line {number}: not a JSON object but a {type(record).__name__}.")
    return record


def _json_field(path: Path, number: int, record: dict[str, Any], column: str | None) -> str:
    """A field by name, or by names with dots into nested objects: ``translation.de``."""
    value: Any = record
    for key in [column] if column in record else (column or "").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, str):
        return _encodable(path, number, value)
    problem = f"field {column!r} is not a text" if column else "no fields were named for the two sides"
    fields = _quoted(list(record))
    raise UserError(f"{path}, line {number}: {problem}; it has {fields}: give --src and --tgt two of these.")


def _encodable(path: Path, number: int, text: str) -> str:
    """JSON can spell half a character ("\\ud83d"), which no file can hold and no tokenizer reads."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as fault:
        half = f"\\u{ord(text[fault.start]):04x}"
        raise UserError(f"{path}, line {number}: {half} is half a character (a lone surrogate).") from fault
    return text
