"""Parallel text that is larger than memory: two files of lines, read in chunks and never as a whole.

The rules are those of `data/files.py` and `data/parallel.py`: a line ends at ``\\n`` alone, line n translates line n,
and what is wrong with a file is said in one sentence.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from allyouneed.data.files import GZIP_MAGIC, UTF8_BOM, decode_text, split_lines
from allyouneed.data.parallel import (
    VAL_NAMES,
    ParallelText,
    existing_path,
    find_languages,
    list_folder,
    read_split,
)
from allyouneed.errors import UserError

CHUNK = 16_384  # lines; the tokenizer's threads share them out
UNPACKED = 4  # a gzip file of text holds about so many times its size


class Place(NamedTuple):
    """How far a reader has come: lines, and bytes of both files as they are unpacked."""

    lines: int = 0
    source: int = 0
    target: int = 0


class ParallelFiles(NamedTuple):
    """The training pairs of a folder, as two files, and the names of their languages."""

    source: Path
    target: Path
    source_language: str
    target_language: str

    def chunks(self, start: Place) -> Iterator[tuple[list[str], list[str], Place]]:
        """Lines of both sides from `start` on, with the place behind them. UserError if one side ends before."""
        with ExitStack() as stack:
            files = [stack.enter_context(opened(path, at)) for path, at in zip(self[:2], start[1:], strict=True)]
            lines = start.lines
            while True:
                source, target = (next_lines(p, f, lines) for p, f in zip(self[:2], files, strict=True))
                if len(source) != len(target):
                    raise self._unequal(lines + min(len(source), len(target)))
                if not source:
                    return
                lines += len(source)
                yield source, target, Place(lines, *(file.tell() for file in files))

    def _unequal(self, shorter: int) -> UserError:
        return UserError(
            f"{self.source} and {self.target.name} differ in their number of lines: from line {shorter + 1:,} on there"
            " is no partner; line n must translate line n."
        )

    def stamp(self) -> list[list[int]]:
        """Sizes and times of change: as long as they are the same the text is taken to be."""
        facts = (path.stat() for path in self[:2])
        return [[fact.st_size, fact.st_mtime_ns] for fact in facts]

    def digest(self) -> tuple[str, int]:
        """A digest of all lines, and the number of pairs; it reads everything once."""
        total, counts = hashlib.sha256(), []
        for path in self[:2]:
            count = 0
            for lines in side(path):
                total.update(("\n" if count else "").encode())
                total.update("\n".join(lines).encode("utf-8", "surrogatepass"))
                count += len(lines)
            total.update(b"\0")
            counts.append(count)
        if counts[0] != counts[1]:
            raise self._unequal(min(counts))
        return total.hexdigest(), counts[0]


def find_parallel_files(path: str | Path, source: str | None, target: str | None) -> ParallelFiles:
    """The files `train.SRC` and `train.TGT` of a folder. UserError for a table, and for a folder without `val` files."""
    path = existing_path(path)
    if not path.is_dir():
        raise UserError(
            f"data.store=disk reads a folder of text files and {path} is one file; put its sides into train.SRC,"
            " train.TGT, val.SRC and val.TGT, line by line, or set data.store=memory"
        )
    folder = list_folder(path)
    source, target = find_languages(path, folder, source, target)
    train = folder.get("train", {})
    for language in (source, target):
        if language not in train:
            raise UserError(f"{path} has no train.{language} or train.{language}.gz.")
    if not any({source, target} <= folder.get(name, {}).keys() for name in VAL_NAMES):
        raise UserError(
            f"{path} has no val.{source} and val.{target}, and data.store=disk splits no validation set off by itself;"
            " move some hundred pairs of train into such files"
        )
    return ParallelFiles(train[source], train[target], source, target)


def validation_text(path: str | Path, files: ParallelFiles) -> ParallelText:
    """The validation pairs beside the training files: few, so they are read whole."""
    return read_split(path, "val", files.source_language, files.target_language)


def training_bytes(path: str | Path, source: str | None, target: str | None) -> int:
    """How much training text a folder holds, roughly where it is packed; 0 for what `find_parallel_files` refuses."""
    try:
        files = find_parallel_files(path, source, target)
    except UserError:
        return 0
    return sum(file.stat().st_size * (UNPACKED if file.suffix == ".gz" else 1) for file in files[:2])


def side(path: Path) -> Iterator[list[str]]:
    """The lines of one file in chunks."""
    with opened(path) as file:
        count = 0
        while lines := next_lines(path, file, count):
            count += len(lines)
            yield lines


def thinned(path: Path, step: int) -> Iterator[str]:
    """Every `step`-th line of a file."""
    lines = (line for chunk in side(path) for line in chunk)
    return islice(lines, 0, None, step)


@contextmanager
def opened(path: Path, at: int = 0) -> Iterator[IO[bytes]]:
    """The file unpacked, from byte `at` on."""
    with _faults_of(path):
        unpack: Any = gzip.open if path.suffix == ".gz" else open
        file: IO[bytes] = unpack(path, "rb")
    with file:
        with _faults_of(path):
            file.seek(at)
        yield file


def next_lines(path: Path, file: IO[bytes], before: int) -> list[str]:
    """The next chunk of lines, of which `before` were read already; an empty list at the end."""
    with _faults_of(path):
        data = b"".join(islice(file, CHUNK))
    if before == 0:
        data = data.removeprefix(UTF8_BOM)
        if data.startswith(GZIP_MAGIC):
            raise UserError(f"{path} is compressed with gzip: rename it to {path.name}.gz.")
    return split_lines(decode_text(path, data, before))


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise UserError(f"{path} is a damaged or truncated gzip file ({fault}): make it again.") from fault
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror or fault}.") from fault
