"""Text files read exactly: lines end at \\n alone, and whatever is wrong with a file is said in one sentence.

``str.splitlines`` also breaks at U+2028, U+0085, form feeds and more, so that the two sides of a parallel
corpus drift apart by a line without anyone noticing.
"""

import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path

from allyouneed.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"
ZIP_FAULTS = (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error, lzma.LZMAError)
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def plain_name(path: Path) -> str:
    """The file's name without ``.gz``."""
    return path.name.removesuffix(".gz")


def read_bytes(path: Path) -> bytes:
    """The file's content, decompressed if its name ends in .gz or .zip, without a UTF-8 byte order mark."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror or fault}.") from fault
    if path.suffix == ".gz":
        data = _gunzip(path, data)
    elif path.suffix == ".zip":
        data = _unzip(path, data)
    elif data.startswith(GZIP_MAGIC):
        raise UserError(f"{path} is compressed with gzip: rename it to {path.name}.gz.")
    return data.removeprefix(UTF8_BOM)


def _gunzip(path: Path, data: bytes) -> bytes:
    if not data.startswith(GZIP_MAGIC):
        raise UserError(f"{path} is not a gzip file although its name ends in .gz: rename it.")
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as fault:
        raise UserError(f"{path} is a damaged or truncated gzip file ({fault}): make it again.") from fault


def _unzip(path: Path, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(zip_member(path, archive))
    except ZIP_FAULTS as fault:
        raise UserError(f"{path} cannot be unpacked as a zip file ({fault}): unpack it by hand.") from fault


def zip_member(path: Path, archive: zipfile.ZipFile) -> str:
    """The one table in a zip file; names that begin with "_" or "." are notes (``_about.txt``)."""
    names = [name for name in archive.namelist() if not name.endswith("/") and name[0] not in "_."]
    if len(names) != 1:
        held = ", ".join(names) or "none"
        raise UserError(f"{path} must hold one table, but it holds {len(names)} ({held}): unpack it.")
    return names[0]


def check_text(path: Path, data: bytes, before: int = 0) -> None:
    """Raises UserError for content that is no text at all: UTF-16, or NUL bytes. `before` lines were read already."""
    if before == 0 and data.startswith(UTF16_BOMS):
        raise UserError(f"{path} is encoded in UTF-16: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8).")
    at = data.find(b"\0")
    if at >= 0:
        line = before + data.count(b"\n", 0, at) + 1
        raise UserError(f"{path} is a binary file (NUL byte in line {line}), where UTF-8 text is expected.")


def read_text(path: Path) -> str:
    """The whole file as text, line ends as they are. UserError names file and line of the first fault."""
    return decode_text(path, read_bytes(path))


def decode_text(path: Path, data: bytes, before: int = 0) -> str:
    """The content of a file, or the part of it behind `before` lines, as text; UserError as for the whole file."""
    check_text(path, data, before)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = before + data.count(b"\n", 0, fault.start) + 1
        byte = f"byte 0x{data[fault.start]:02x}"
        raise UserError(f"{path}, line {line}: invalid UTF-8 ({byte}): convert the file to UTF-8.") from fault


def split_lines(text: str) -> list[str]:
    """Lines ended by \\n or \\r\\n and by nothing else; a missing last line end makes no difference."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def read_lines(path: Path) -> list[str]:
    """The file's lines without their ends: n strings."""
    return split_lines(read_text(path))
