"""Raw text for pre-training encoders: documents of sentences, from text files and from tables.

In a text file a sentence stands on a line and a blank line ends a document (BERT's format); a file without blank lines
gives a document for every `RUN` lines. In a table (TSV, CSV, JSONL) each row's text is a document.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from allyouneed.data.files import plain_name, read_text, split_lines
from allyouneed.data.labelled import TEXTS
from allyouneed.data.records import read_records
from allyouneed.data.tables import FORMATS
from allyouneed.errors import UserError

RUN = 16
TABLES = set(FORMATS) - {".txt"}
Document = list[str]  # its sentences


class Documents(NamedTuple):
    train: list[Document]
    val: list[Document]


def read_documents(paths: Sequence[str | Path], column: str | None, held_out: float, seed: int) -> Documents:
    """Reads files and folders of them; a share of the documents, drawn by the seed, is held out."""
    documents = [document for path in paths for file in _files(Path(path)) for document in _documents(file, column)]
    if len(documents) < 2:
        raise UserError(f"{', '.join(map(str, paths))}: {len(documents)} document(s); pre-training needs two at least")
    held = max(1, round(held_out * len(documents)))
    order = np.random.default_rng(seed).permutation(len(documents))
    kept = sorted(order[held:].tolist())
    return Documents([documents[i] for i in kept], [documents[i] for i in sorted(order[:held].tolist())])


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name[0] not in "._")
        if not files:
            raise UserError(f"{path} holds no files; give text files, tables, or a folder of them")
        return files
    if not path.exists():
        raise UserError(f"there is no file or folder {path}; give text files, tables, or a folder of them")
    return [path]


def _documents(file: Path, column: str | None) -> list[Document]:
    if Path(plain_name(file)).suffix.lower() in TABLES:
        records = read_records(file, [column] if column else [])
        name = column or next((name for name in TEXTS if name in records.names), None)
        if name is None or name not in records.names:
            raise UserError(
                f"{file} has no column that is surely the text; its columns: {records.shown()}; name one with "
                "--set data.text=..."
            )
        return [[text] for text in records.column(file, name) if text.strip()]
    return _by_blank_lines(split_lines(read_text(file)))


def _by_blank_lines(lines: Sequence[str]) -> list[Document]:
    documents: list[Document] = [[]]
    for line in lines:
        if line.strip():
            documents[-1].append(line)
        elif documents[-1]:
            documents.append([])
    documents = [document for document in documents if document]
    if len(documents) == 1:
        whole = documents[0]
        return [whole[i : i + RUN] for i in range(0, len(whole), RUN)]
    return documents
