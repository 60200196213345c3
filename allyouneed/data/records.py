"""Tables read whole: any columns by name, from TSV, CSV or JSONL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from allyouneed.data.files import read_text, split_lines
from allyouneed.data.tables import csv_rows, json_record, one_line, table_format, tsv_rows
from allyouneed.errors import UserError


class Records(NamedTuple):
    """The rows of a table as fields by column name; `lines` are the rows' numbers in the file, from 1."""

    names: list[str]
    rows: list[dict[str, str]]
    lines: list[int]

    def column(self, path: Path, name: str) -> list[str]:
        """One field of each row; UserError names the line of a row that has none."""
        for line, row in zip(self.lines, self.rows, strict=True):
            if name not in row:
                raise UserError(f"{path}, line {line}: there is no field {name!r}; every row needs one")
        return [one_line(row[name]) for row in self.rows]

    def shown(self) -> str:
        """The columns' names for an error."""
        return ", ".join(repr(name[:40]) for name in self.names[:12]) + (", ..." if len(self.names) > 12 else "")


def read_records(path: Path, asked: Sequence[str] = ()) -> Records:
    """All rows. Where every column that is `asked` for is a number, the table has no header and columns are numbered."""
    text, kind = read_text(path), table_format(path)
    if kind == "jsonl":
        return _json_records(path, text)
    rows = list(tsv_rows(text) if kind == "tsv" else csv_rows(path, text))
    if not rows:
        raise UserError(f"{path} is empty; a table begins with the names of its columns")
    headless = bool(asked) and all(name.isascii() and name.isdigit() for name in asked)
    names = [str(i + 1) for i in range(len(rows[0].fields))] if headless else [n.strip() for n in rows[0].fields]
    body = rows if headless else rows[1:]
    for row in body:
        if len(row.fields) != len(names):
            raise UserError(
                f"{path}, line {row.line}: {len(row.fields)} fields where the table has {len(names)} columns"
            )
    return Records(names, [dict(zip(names, row.fields, strict=True)) for row in body], [row.line for row in body])


def _json_records(path: Path, text: str) -> Records:
    rows, lines = [], []
    for number, line in enumerate(split_lines(text), 1):
        if line.strip():
            rows.append({key: _text(value) for key, value in json_record(path, number, line).items()})
            lines.append(number)
    if not rows:
        raise UserError(f"{path} is empty; write one JSON object per line")
    return Records(list(rows[0]), rows, lines)


def _text(value: Any) -> str:
    """Labels are often numbers or truth values in JSON; null is nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else str(int(value) if isinstance(value, bool) else value)
