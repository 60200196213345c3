"""Sentence pairs as tokens in files, mapped into memory: for a corpus that memory does not hold.

A folder `tokens-KEY` holds, for each side, `ids` (all sequences one after another) and `offsets` (where each begins),
and `order`, the pairs by length. It is written once, in chunks, under a name of its own, and renamed when it is whole;
a writer that was killed goes on where it last noted its place. KEY is a digest of all that the tokens depend on, so
that what is found under it fits.
"""

import hashlib
import json
import mmap
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from allyouneed.data.batches import TokenStore
from allyouneed.data.streaming import ParallelFiles, Place
from allyouneed.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = "allyouneed tokens 1"
MANIFEST, PLACE = "manifest.json", "place.json"
SIDES = ("source", "target")
NOTED = 64  # chunks between two notes of the place: about a million pairs
SHOWN = 5  # lines that were left out, named to the user
ROWS = 1 << 20  # pairs that are put into order together
BITS = 21  # of a length
LOW = (1 << BITS) - 1

Encode = Callable[[Sequence[str]], list[list[int]]]


class Recipe(NamedTuple):
    """All that the tokens depend on."""

    text: str  # digest of the training text
    lines: int  # pairs in it
    subwords: tuple[str, ...]  # digest of each side's tokenizer
    longest: int  # pieces; pairs with a longer side, or an empty one, are left out
    most: int | None  # use only the first so many pairs
    pieces: int  # of the larger vocabulary

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps([FORMAT, *self]).encode()).hexdigest()[:16]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.pieces <= 1 << 16 else np.int32)


class PairStore:
    """A finished folder of tokens, opened."""

    def __init__(self, folder: Path, manifest: dict[str, Any]):
        self.folder, self.manifest = folder, manifest
        self.maps: list[mmap.mmap] = []
        self.source, self.target = (
            TokenStore(self._mapped(f"{side}.ids", manifest["dtype"]), self._mapped(f"{side}.offsets", "int64"))
            for side in SIDES
        )
        self.order = self._mapped("order", "int64")
        self.classes = np.fromfile(folder / "classes", dtype=np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self.order)

    def _mapped(self, name: str, dtype: str) -> np.ndarray:
        with open(self.folder / name, "rb") as file:
            self.maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if hasattr(mmap, "MADV_RANDOM"):
            self.maps[-1].madvise(mmap.MADV_RANDOM)  # a batch is from all over the file: reading ahead is for nothing
        return np.frombuffer(self.maps[-1], dtype=dtype)

    def release(self) -> None:
        """Lets go of the pages that were read, which else would count as this process's own. They stay in the system's
        cache of files, so that nothing is read twice as long as memory is free."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapping in self.maps:
                mapping.madvise(mmap.MADV_DONTNEED)


def find_store(folder: Path, recipe: Recipe) -> PairStore | None:
    """The tokens of this recipe, where they are in the folder, and whole."""
    return _opened(folder / f"tokens-{recipe.key}")


def find_stamped(folder: Path, stamp: list[list[int]], subwords: Sequence[str]) -> tuple[str, int] | None:
    """Digest and number of pairs of a text that these subwords have tokenised here, if its files are still the same.

    It spares a resumed run, and every rank but the first, reading all of the text only to find that it is known.
    """
    for path in sorted(folder.glob("tokens-*")):
        manifest = _manifest(path)
        if manifest and manifest["stamp"] == stamp and manifest["recipe"]["subwords"] == list(subwords):
            return manifest["recipe"]["text"], manifest["recipe"]["lines"]
    return None


def make_store(
    folder: Path, recipe: Recipe, files: ParallelFiles, encode: tuple[Encode, Encode], say: Callable[[str], None]
) -> PairStore:
    """Tokenises the files into the folder, or goes on with what a killed process began. UserError if the disk refuses,
    or no pair is left; what was written is kept, and the next call goes on from there."""
    whole, aside = folder / f"tokens-{recipe.key}", folder / f".unfinished-{recipe.key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f".lock-{recipe.key}"):
            if (found := _opened(whole)) is not None:  # another process wrote it while this one waited
                return found
            aside.mkdir(exist_ok=True)
            facts = _tokenise(aside, recipe, files, encode, say)
            if facts["pairs"]:
                _put_in_order(aside)
                _finish(aside, whole, recipe, files, facts)
    except OSError as error:
        raise UserError(
            f"the tokens cannot be written to {folder} ({error.strerror or error}); make room, or set data.store_path to"
            " a folder on another disk, and start again: what is written so far is kept"
        ) from error
    if not facts["pairs"]:
        raise UserError(
            f"no training pair is left: all are empty or longer than data.max_length={recipe.longest} pieces"
        )
    found = _opened(whole)
    assert found is not None
    return found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two processes that want the same tokens must not write into each other's: the second waits for the first."""
    with open(path, "w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # the file stays: were it deleted, a third process would lock another one of the same name


def _tokenise(
    aside: Path, recipe: Recipe, files: ParallelFiles, encode: tuple[Encode, Encode], say: Callable[[str], None]
) -> dict[str, Any]:
    """Appends the tokens of both sides chunk by chunk; returns what was written and left out."""
    facts = _noted(aside)
    with ExitStack() as stack:
        out = {name: stack.enter_context(_continued(aside / name, size)) for name, size in facts["sizes"].items()}
        for number, (source, target, place) in enumerate(files.chunks(Place(*facts["place"])), 1):
            room = len(source) if recipe.most is None else recipe.most - facts["place"][0]
            _append(out, [encode[0](source[:room]), encode[1](target[:room])], recipe, facts)
            facts["place"] = list(place)
            full = recipe.most is not None and place.lines >= recipe.most
            if number % NOTED == 0 or full:
                _note(aside, out, facts)
                say(f"{min(place.lines, recipe.most or place.lines):,} pairs tokenised")
            if full:
                break
        _note(aside, out, facts)
    return facts


def _append(out: dict[str, IO[bytes]], ids: list[list[list[int]]], recipe: Recipe, facts: dict[str, Any]) -> None:
    lengths = np.array([[len(row) for row in rows] for rows in ids])  # 2 x pairs
    good = (lengths.min(0) > 0) & (lengths.max(0) <= recipe.longest)
    gone = np.nonzero(~good)[0]
    facts["left_out_lines"] += [facts["place"][0] + int(row) + 1 for row in gone][
        : SHOWN - len(facts["left_out_lines"])
    ]
    facts["left_out"] += len(gone)
    facts["pairs"] += int(good.sum())
    for side, rows, counts in zip(SIDES, ids, lengths, strict=True):
        kept = chain.from_iterable(row for row, fits in zip(rows, good, strict=True) if fits)
        out[f"{side}.ids"].write(np.fromiter(kept, recipe.dtype, int(counts[good].sum())).tobytes())
        ends = np.cumsum(counts[good], dtype=np.int64) + facts["tokens"][side]
        out[f"{side}.offsets"].write(ends.tobytes())
        facts["tokens"][side] += int(counts[good].sum())


def _noted(aside: Path) -> dict[str, Any]:
    """How far a writer came that was killed; the beginning where there is no note."""
    try:
        facts: dict[str, Any] = json.loads((aside / PLACE).read_text())
        return facts
    except (OSError, ValueError):
        zero = np.zeros(1, dtype=np.int64).tobytes()  # where the first sequence begins
        for side in SIDES:
            (aside / f"{side}.ids").write_bytes(b"")
            (aside / f"{side}.offsets").write_bytes(zero)
        sizes = {f"{side}.{kind}": size for side in SIDES for kind, size in (("ids", 0), ("offsets", len(zero)))}
        return {"place": list(Place()), "sizes": sizes, "tokens": dict.fromkeys(SIDES, 0), "pairs": 0, "left_out": 0,
                "left_out_lines": []}  # fmt: skip


def _continued(path: Path, size: int) -> IO[bytes]:
    """The file open at its noted end; what was written behind it is cut off."""
    file = open(path, "r+b")  # noqa: SIM115
    file.truncate(size)
    file.seek(size)
    return file


def _note(aside: Path, out: dict[str, IO[bytes]], facts: dict[str, Any]) -> None:
    for name, file in out.items():
        file.flush()
        os.fsync(file.fileno())
        facts["sizes"][name] = file.tell()
    _write(aside / PLACE, facts)


def _write(path: Path, content: Any) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(json.dumps(content))
    os.replace(aside, path)


def _put_in_order(aside: Path) -> None:
    """Writes `order`, the pairs by (longer side, target, source), and `classes`, their lengths and how many have them.

    A counting sort in pieces: what it holds grows with the number of classes, not of pairs.
    """
    pairs = (aside / "source.offsets").stat().st_size // 8 - 1
    counts: Counter[int] = Counter()
    for start in range(0, pairs, ROWS):
        found, many = np.unique(_length_keys(aside, start), return_counts=True)
        counts.update(dict(zip(found.tolist(), many.tolist(), strict=True)))
    known = np.array(sorted(counts), dtype=np.int64)
    sizes = np.array([counts[key] for key in known.tolist()], dtype=np.int64)
    np.stack([known & LOW, (known >> BITS) & LOW, sizes], axis=1).tofile(aside / "classes")
    free = np.cumsum(sizes) - sizes  # the next free place of each class
    with open(aside / "order", "wb") as file:
        for start in range(0, pairs, ROWS):
            kinds = np.searchsorted(known, _length_keys(aside, start))
            rows = np.argsort(kinds, kind="stable")
            here, first = np.unique(kinds[rows], return_index=True)
            for kind, run in zip(here, np.split(start + rows, first[1:]), strict=True):
                file.seek(8 * int(free[kind]))
                file.write(run.astype(np.int64).tobytes())
                free[kind] += len(run)


def _length_keys(aside: Path, start: int) -> np.ndarray:
    """A number for the lengths of each pair of a piece; numbers are in the order that batches are cut from."""
    ends = (np.fromfile(aside / f"{side}.offsets", np.int64, ROWS + 1, offset=8 * start) for side in SIDES)
    source, target = (end[1:] - end[:-1] for end in ends)
    keys: np.ndarray = (np.maximum(source, target) << 2 * BITS) | (target << BITS) | source
    return keys


def _finish(aside: Path, whole: Path, recipe: Recipe, files: ParallelFiles, facts: dict[str, Any]) -> None:
    sizes = {path.name: path.stat().st_size for path in aside.iterdir() if path.name != PLACE}
    counted = {key: facts[key] for key in ("pairs", "left_out", "left_out_lines", "tokens")}
    _write(aside / MANIFEST, {
        "format": FORMAT, "recipe": recipe._asdict(), "dtype": recipe.dtype.name, "stamp": files.stamp(),
        "files": sizes, **counted,
    })  # fmt: skip
    (aside / PLACE).unlink()
    os.rename(aside, whole)


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None


def _opened(path: Path) -> PairStore | None:
    manifest = _manifest(path)
    if manifest is None:
        return None
    for name, size in manifest["files"].items():
        if not (path / name).exists() or (path / name).stat().st_size != size:
            raise UserError(f"{path / name} is not as it was written; delete the folder {path}, and it is made again")
    return PairStore(path, manifest)
