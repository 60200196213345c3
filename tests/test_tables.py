"""Sentence pairs from one table: TSV, CSV, JSONL, plain, compressed or zipped; what can be wrong with one."""

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from allyouneed.data.parallel import read_corpus, read_split
from allyouneed.errors import UserError


def fault(*arguments: object, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        read_corpus(*arguments, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def as_tsv(rows: list[list[str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def as_csv(rows: list[list[str]], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode()


def as_jsonl(rows: list[list[str]]) -> bytes:
    records = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def as_zip(rows: list[list[str]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("pairs.tsv", as_tsv(rows))
        archive.writestr("_about.txt", "notes")
    return out.getvalue()


ROWS = [["id", "de", "en"]] + [[str(i), f'Er sagte "{i}, {i}"', f"He said “{i}”"] for i in range(60)]
TABLES = {
    "a.tsv": as_tsv(ROWS),
    "a.txt.gz": gzip.compress(as_tsv(ROWS)),
    "a.csv": as_csv(ROWS),
    "b.csv": b"\xef\xbb\xbf" + as_csv(ROWS, ";"),
    "a.csv.gz": gzip.compress(as_csv(ROWS)),
    "a.jsonl": as_jsonl(ROWS),
    "a.jsonl.gz": gzip.compress(as_jsonl(ROWS)),
    "a.zip": as_zip(ROWS),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_and_split(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(TABLES[name])
    corpus = read_corpus(tmp_path / name, "de", "en")
    splits = [corpus.train, corpus.val, corpus.tests["test"]]
    assert [len(split.source) for split in splits] == [54, 3, 3] and corpus[3:] == ("de", "en")
    pairs = {pair for split in splits for pair in zip(*split, strict=True)}
    assert pairs == {(row[1], row[2]) for row in ROWS[1:]}
    assert read_split(tmp_path / name, "test", "de", "en") == corpus.tests["test"]


def test_columns_by_number_read_a_table_without_header(tmp_path: Path) -> None:
    (tmp_path / "cmn.txt").write_bytes(as_tsv([[f"Hi {i}.", f"嗨{i}。", "CC-BY"] for i in range(5)]) + b"\n")
    corpus = read_corpus(tmp_path / "cmn.txt", "zh", "en", "2", "1")
    assert corpus[3:] == ("zh", "en")
    assert sorted(corpus.train.source + corpus.val.source + corpus.tests["test"].source)[0] == "嗨0。"


def test_columns_may_be_named_apart_from_languages_and_nested(tmp_path: Path) -> None:
    records = [{"id": i, "translation": {"de": f"de\n{i}", "en": f"en {i}"}} for i in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    corpus = read_corpus(tmp_path / "a.jsonl", "de", "en", "translation.de", "translation.en")
    assert set(corpus.train.source) < {"de 0", "de 1", "de 2", "de 3"} and corpus.source_language == "de"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tsv", b"id\tsource\ttarget\n1\ta\tb\n", ["'de'", "'id', 'source', 'target'", "--src"]),
        ("a.csv", b"id,source\n1,a\n", ["'de'", "'id', 'source'"]),
        ("a.tsv", b"de\ten\na\tb\nc\n", ["line 3", "1 column(s)"]),
        ("a.csv", b'de,en\na,b\n"c,d\n', ["a.csv, line 3", "not valid CSV"]),
        ("a.jsonl", b'{"de": "a", "en": "b"}\n{"de": "a"}\n', ["line 2", "'en' is not a text", "'de'"]),
        ("a.jsonl", b'{"de": "a", "en": 3}\n', ["line 1", "'en' is not a text"]),
        ("a.jsonl", b'{"de": "a", "en": "b"}\n{"de"\n', ["line 2", "not a JSON object"]),
        ("a.jsonl", b'[{"de": "a", "en": "b"}]\n', ["line 1", "not a JSON object"]),
        ("a.jsonl", b'{"de": "a", "en": "\\ud83d"}\n', ["line 1", "half a character"]),
        ("a.tsv", b"de\ten\n", ["no lines"]),
        ("a.tsv", b"\n", ["no lines"]),
        ("a.jsonl", b"", ["no lines"]),
        ("a.tsv", b"de\ten\na\tb\na\tc\n", ["1 distinct source sentences", "train, val, test"]),
        ("a.zip", b"PK no zip", ["a.zip cannot be unpacked"]),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    message = fault(tmp_path / name, "de", "en")
    assert all(word in message for word in words), message


def test_tables_without_clear_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(as_tsv(ROWS))
    assert "no columns were named" in fault(path)
    assert "both column 'de'" in fault(path, "de", "de")
    assert "no column '4'" in fault(path, "de", "en", "4", "1")
    with pytest.raises(UserError, match="without a split 'test_2016'"):
        read_split(path, "test_2016", "de", "en")


def test_a_zip_file_with_two_tables(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.tsv", "")
        archive.writestr("b.tsv", "")
    assert "holds 2 (a.tsv, b.tsv)" in fault(tmp_path / "a.zip", "de", "en")
