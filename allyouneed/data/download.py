"""Public data sets fetched by name: ``--recipe multi30k``.

A file is kept only if its *decompressed* content has the checksum that the recipe names: mirrors compress the
same text in different ways. It is written under a temporary name and renamed, so a broken download leaves
nothing that looks finished, and what is right already is not fetched again.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from allyouneed.errors import UserError

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16  # bytes
SLACK = 1 << 16  # bytes that a file may have beyond its content: gzip adds to what it cannot shrink
# URLError, timeouts and refused connections are OSErrors; ValueError is an address that is none.
NETWORK_FAULTS = (OSError, ValueError, http.client.HTTPException)


class RemoteFile(NamedTuple):
    """A file of a recipe: its name as served (with .gz) and the decompressed content's sha256 and bytes."""

    name: str
    sha256: str
    size: int


class Recipe(NamedTuple):
    """A public data set: where it is served, what it may be used for, and its files."""

    base_url: str
    licence: str
    files: tuple[RemoteFile, ...]


_MULTI30K = """
train.de.gz 2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72 2110398
train.en.gz 460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6 1801238
train.fr.gz 5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d 2111303
val.de.gz 660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660 75981
val.en.gz 1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227 63297
val.fr.gz 5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc 73924
test_2016_flickr.de.gz 4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16 70649
test_2016_flickr.en.gz 399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182 62076
test_2016_flickr.fr.gz cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6 72261
test_2017_flickr.de.gz c3078bc3b36808bf9d20eb2347ed6137016179ef59ec0d2b9b8ecc3fb2880081 64059
test_2017_flickr.en.gz ce1450ddc5ab0834502579d77a170849952e15a2938b34cc503bdc25ebb4fb98 55242
test_2017_flickr.fr.gz 6f3764e31dac41e9455e612958bcfd4e877c5e15cd66df2c2b2be6d9bd83e5b6 65691
test_2017_mscoco.de.gz 58277df3c75f92f7145a11b910b553d1cf82c439249d4dc237c899609eafac22 29906
test_2017_mscoco.en.gz 43051fdfa86fd5395182e718a94ca67b1b227b9f7c79596ff0f6b813216981d2 24949
test_2017_mscoco.fr.gz 39cde3f43f32b0a6bf29ce4917a46329ff32e53070c2fac87506695a740ae0a0 29982
test_2018_flickr.de.gz 39fcc8b3331d76fb42d648d019c6898b0d5e58baac87bc2a0bb93f44ec8db207 80893
test_2018_flickr.en.gz 4e585c2dd525911a6ea7730e9d0b516239af3f1b1ffae6a2130223cfb639f25e 70603
test_2018_flickr.fr.gz 234b4a887da0da4801a3e2c6f21336231ff7dd46daeb80cfa1b551c8bbb78239 84076
"""


def _parse(lines: str) -> tuple[RemoteFile, ...]:
    rows = (line.split() for line in lines.split("\n") if line)
    return tuple(RemoteFile(name, sha256, int(size)) for name, sha256, size in rows)


RECIPES: Mapping[str, Recipe] = {
    "multi30k": Recipe(
        "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/",
        "research and education, non-commercial (Elliott et al. 2016, https://aclanthology.org/W16-3210)",
        _parse(_MULTI30K),
    ),
}


def fetch_recipe_data(
    recipe: str, folder: str | Path, base_url: str | None = None, recipes: Mapping[str, Recipe] = RECIPES
) -> Path:
    """Brings the recipe's files into ``folder`` (made if absent), fetching only what is not right there.

    Returns the folder. ``base_url`` replaces the recipe's address, for a mirror. UserError where the network,
    a checksum or the disk fails; without a network it says which files to put where by hand.
    """
    if recipe not in recipes:
        raise UserError(f"There is no recipe {recipe!r} with data to download; there is: {', '.join(recipes)}.")
    folder = Path(folder).expanduser()
    address = (base_url or recipes[recipe].base_url).rstrip("/") + "/"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [file for file in recipes[recipe].files if not is_right(folder / file.name, file)]
    except OSError as fault:
        raise UserError(f"{folder} cannot be used as a folder for data: {fault.strerror or fault}.") from fault
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        if wanted:
            progress.console.print(f"{recipe}: {recipes[recipe].licence}", highlight=False, markup=False)
        for file in wanted:
            try:
                _fetch(address + file.name, folder / file.name, file, progress)
            except NETWORK_FAULTS as fault:
                raise _by_hand(address, folder, wanted, fault) from fault
    return folder


def _by_hand(address: str, folder: Path, files: list[RemoteFile], fault: Exception) -> UserError:
    """What to do where there is no network: the files that are still missing, from where, and to where."""
    missing = " ".join(file.name for file in files if not is_right(folder / file.name, file))
    reason = fault.reason if type(fault) is urllib.error.URLError else fault
    return UserError(
        f"{address} cannot be read ({reason}): where there is a network, download these files from there"
        f" and put them into {folder}: {missing}."
    )


def is_right(path: Path, file: RemoteFile) -> bool:
    """Whether the file, or the same without .gz, is there with the recipe's content."""
    for candidate in (path, path.with_name(path.name.removesuffix(".gz"))):
        try:
            if candidate.is_file() and candidate.stat().st_size <= file.size + SLACK:
                check_content(candidate.read_bytes(), file, compressed=candidate.suffix == ".gz")
                return True
        except (OSError, ValueError):
            continue
    return False


def check_content(data: bytes, file: RemoteFile, compressed: bool) -> None:
    """ValueError unless ``data`` unpacks to what the recipe names."""
    text = _unpack(data, file.size + 1) if compressed else data
    if len(text) > file.size:
        raise ValueError(f"it unpacks to more than {file.size:,} bytes")
    found = hashlib.sha256(text).hexdigest()
    if found != file.sha256:
        raise ValueError(f"its sha256 is {found[:12]}..., expected {file.sha256[:12]}...")


def _unpack(data: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes of what the gzip data holds: a few kilobytes may hold gigabytes."""
    unzip = zlib.decompressobj(wbits=31)  # 31: gzip
    try:
        text = unzip.decompress(data, limit)
    except zlib.error as fault:
        raise ValueError(f"no gzip file, {fault}") from fault
    if len(text) < limit and (not unzip.eof or unzip.unused_data):
        raise ValueError("the gzip file is truncated or has something after its end")
    return text


def _fetch(url: str, path: Path, file: RemoteFile, progress: Progress) -> None:
    """Downloads, checks, writes ``path``.part, renames; NETWORK_FAULTS if the address cannot be read."""
    data = _read(url, file, progress)
    try:
        check_content(data, file, compressed=file.name.endswith(".gz"))
    except ValueError as fault:
        raise UserError(f"{url} is not the file that the recipe names ({fault}): nothing was kept.") from fault
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {fault.strerror or fault}.") from fault


def _read(url: str, file: RemoteFile, progress: Progress) -> bytes:
    """The address's content, at most as much as the recipe's file can have; the rest is left unread."""
    request = urllib.request.Request(url, headers={"User-Agent": "allyouneed"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length", "")
        task = progress.add_task(file.name, total=int(length) if length.isdigit() else None)
        data = bytearray()
        while len(data) <= file.size + SLACK and (chunk := response.read(CHUNK)):
            data += chunk
            progress.update(task, completed=len(data))
    return bytes(data)
