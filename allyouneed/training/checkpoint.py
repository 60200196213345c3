"""Checkpoints that survive a kill at any moment: a folder per step, written aside, synced, then renamed.

checkpoints/step-00001200/ holds `model.safetensors`, `state.safetensors` (optimiser, averages, generators),
`state.json` (everything that is not a tensor) and `manifest.json`, written last, with the size and SHA-256 of
the others. There is no pickle: `packing.pack` splits a nested state into tensors and JSON.

Of a model that is sharded over ranks each writes the rows that it holds, `model-00001-of-00002.safetensors` and so on;
nothing is gathered, and any number of ranks reads it again.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.training.distributed import ALONE, World, held_rows
from allyouneed.training.tensor_files import Stored, loaded, serialized, stored

FORMAT = "allyouneed checkpoint 1"
MODEL, STATE, SCALARS, MANIFEST = "model.safetensors", "state.safetensors", "state.json", "manifest.json"
ASIDE = ".unfinished-"  # names that a dead process may have left; the next save deletes them
NAME = re.compile(r"step-(\d{8,})(\.replaced)?")


class Checkpoint(NamedTuple):
    """A verified checkpoint on disk."""

    step: int
    path: Path

    @classmethod
    def at(cls, folder: Path, step: int) -> "Checkpoint":
        """That of a step, if it is there."""
        return cls(step, folder / f"step-{step:08d}")

    def model(self) -> dict[str, Tensor]:
        """The model's tensors, tied names included, and whole however many ranks wrote them."""
        return loaded(self.stored_model())

    def state(self) -> tuple[dict[str, Tensor], Any]:
        """The state's tensors and JSON as given to `save`: `unpack(*checkpoint.state())` if packed."""
        tensors, scalars = self.stored_state()
        return loaded(tensors), scalars

    def stored_model(self) -> dict[str, Stored]:
        """The model's tensors unread, so that a rank may take its rows alone."""
        return stored(_parts(self.path, MODEL))

    def stored_state(self) -> tuple[dict[str, Stored], Any]:
        """The state's tensors unread, and its JSON."""
        return stored(_parts(self.path, STATE)), json.loads((self.path / SCALARS).read_text(encoding="utf-8"))


def save(
    folder: str | Path,
    step: int,
    model_tensors: Mapping[str, Tensor],
    state_tensors: Mapping[str, Tensor],
    state_json: Any,
    keep: int,
    every: int = 1,
    world: World = ALONE,
) -> Path:
    """Write `folder`/step-NNNNNNNN, completely or not at all; then delete all but the newest `keep`.

    With a `world` of several ranks all must call: each writes its rows of what is sharded, the first the rest as well.

    Those whose step is no multiple of `every` (Ctrl-C made them) go when a newer one is there and count for nothing,
    so that a run that was interrupted keeps the same checkpoints as one that was not.

    `folder` belongs to one run, and is the same place for all ranks. `state_json` must be plain JSON with text keys, as
    `pack` makes it. Raises UserError where the disk is full or refuses; what was there is then untouched.
    """
    folder = Path(folder)
    target, aside = folder / f"step-{step:08d}", folder / f"{ASIDE}step-{step:08d}"
    with _disk_errors(folder, aside):
        if world.first:
            folder.mkdir(parents=True, exist_ok=True)
            _delete_leftovers(folder)
            aside.mkdir()
        world.wait()
        files = _write_tensors(aside, {MODEL: model_tensors, STATE: state_tensors}, world)
        if world.first:
            _write_rest(aside, step, files, state_json)
            _put_in_place(aside, target)
            _prune(folder, step, keep, every)
    return target


def latest(folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that agrees with its manifest, and a sentence for each newer one skipped."""
    warnings: list[str] = []
    for step, path in _steps(Path(folder)):
        if (fault := _fault(path, step)) is None:
            return Checkpoint(step, path), warnings
        warnings.append(f"the checkpoint {path} is skipped: {fault}")
    return None, warnings


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file, written aside, synced and renamed; tied tensors are stored once."""
    _write_whole(Path(path), serialized(tensors))


def write_text(path: str | Path, text: str) -> None:
    """A text file that is there whole, or as it was before."""
    _write_whole(Path(path), [text.encode("utf-8")])


def _write_whole(path: Path, content: Iterable[bytes | memoryview]) -> None:
    aside = path.with_name(ASIDE + path.name)
    with _disk_errors(path, aside):
        aside.unlink(missing_ok=True)
        _write(aside, content)
        os.rename(aside, path)
        _sync_folder(path.parent)


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, tied names sharing one; UserError if torn or foreign."""
    return loaded(stored([Path(path)]))


def _write_tensors(folder: Path, kinds: Mapping[str, Mapping[str, Tensor]], world: World) -> dict[str, Any]:
    """This rank's files; names, sizes and digests of those of all ranks. OSError on every rank if one's disk refuses."""
    files: dict[str, Any] = {}
    fault: tuple[int | None, str | None] | None = None
    try:
        for name, tensors in kinds.items():
            part = _part(name, world)
            files[part] = _write(folder / part, serialized(*_held(tensors, world)))
    except OSError as error:
        fault = error.errno, error.strerror
    for other, written in world.gather((fault, files)):
        fault = fault or other
        files |= written
    if fault:
        raise OSError(*fault)
    return files


def _held(tensors: Mapping[str, Tensor], world: World) -> tuple[dict[str, Tensor], dict[str, int]]:
    """What this rank writes: its rows of sharded tensors (and with which row they begin), the first rank the rest."""
    own: dict[str, Tensor] = {}
    starts: dict[str, int] = {}
    for name, tensor in tensors.items():
        if (rows := held_rows(tensor)) is None:
            if world.first:
                own[name] = tensor
        elif rows.stop > rows.start:
            own[name], starts[name] = tensor.to_local(), rows.start  # type: ignore[attr-defined]
    return own, starts


def _part(name: str, world: World) -> str:
    """`model.safetensors`, or with several ranks `model-00001-of-00002.safetensors`."""
    stem, _, suffix = name.partition(".")
    return name if world.size == 1 else f"{stem}-{world.rank + 1:05d}-of-{world.size:05d}.{suffix}"


def _parts(folder: Path, name: str) -> list[Path]:
    """The files of all ranks that `_part` has named."""
    stem, _, suffix = name.partition(".")
    return sorted(folder.glob(f"{stem}-*-of-*.{suffix}")) or [folder / name]


def _write_rest(folder: Path, step: int, files: dict[str, Any], scalars: Any) -> None:
    files[SCALARS] = _write(folder / SCALARS, [json.dumps(scalars).encode()])
    _write(folder / MANIFEST, [json.dumps({"format": FORMAT, "step": step, "files": files}, indent=1).encode()])
    _sync_folder(folder)


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> dict[str, Any]:
    """A new file, on disk when this returns; its size and digest."""
    digest, size = hashlib.sha256(), 0
    with open(path, "xb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def _sync_folder(folder: Path) -> None:
    """A rename is on disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(aside: Path, target: Path) -> None:
    """Rename the finished folder; one that has its name (torn, or saved twice) steps back until then."""
    replaced = target.with_name(target.name + ".replaced")
    if target.exists():
        if replaced.exists():
            _delete(replaced)
        os.rename(target, replaced)
    os.rename(aside, target)
    _sync_folder(target.parent)


def _prune(folder: Path, step: int, keep: int, every: int) -> None:
    """Keep the new checkpoint and `keep` - 1 before it; a later torn one was given up on resuming."""
    older = [(number, path) for number, path in _steps(folder) if number < step and _manifest(path)]
    later = [(number, path) for number, path in _steps(folder) if number > step]
    planned = [path for number, path in older if number % every == 0]
    for path in planned[max(keep, 1) - (step % every == 0) :] + [path for number, path in older if number % every]:
        _delete(path)
    for number, path in later:
        if _manifest(path) and _fault(path, number):
            _delete(path)
    if (replaced := folder / f"step-{step:08d}.replaced").exists():
        _delete(replaced)


def _delete(path: Path) -> None:
    """Renamed before it is emptied, so that no half-deleted folder ever looks like a checkpoint."""
    aside = path.with_name(ASIDE + path.name + ".old")
    os.rename(path, aside)
    shutil.rmtree(aside)


def _delete_leftovers(folder: Path) -> None:
    for path in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _steps(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of what bears a checkpoint's name, newest first, a replaced one after its replacement."""
    paths = folder.iterdir() if folder.is_dir() else iter(())
    named = [(match, path) for path in paths if (match := NAME.fullmatch(path.name))]
    return [(int(match[1]), path) for match, path in sorted(named, key=lambda x: (-int(x[0][1]), x[0][2] or ""))]


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None


def _fault(path: Path, step: int) -> str | None:
    """What is wrong with a checkpoint on disk, or None."""
    manifest = _manifest(path)
    if manifest is None:
        return f"it has no readable {MANIFEST} of this program"
    try:
        if manifest["step"] != step:
            return f"its {MANIFEST} is that of step {manifest['step']}"
        faults = [_file_fault(path / name, **facts) for name, facts in manifest["files"].items()]
    except (KeyError, TypeError, AttributeError):
        return f"its {MANIFEST} is damaged"
    return next((fault for fault in faults if fault), None)


def _file_fault(path: Path, size: int, sha256: str) -> str | None:
    try:
        with open(path, "rb") as file:
            if (found := os.fstat(file.fileno()).st_size) != size:
                return f"{path.name} is torn, with {found} of {size} bytes"
            damaged = hashlib.file_digest(file, "sha256").hexdigest() != sha256
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return f"{path.name} is damaged, its SHA-256 is not the one in {MANIFEST}" if damaged else None


@contextmanager
def _disk_errors(place: Path, aside: Path) -> Iterator[None]:
    """Turn the disk's refusal into a sentence and take back what was half written."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = f"no space left on {place}" if full else f"cannot write {place} ({error.strerror or error})"
        kept = next((step for step, path in _steps(place) if _manifest(path)), None)
        rest = f"; the checkpoint of step {kept} is kept" if kept is not None else ""
        raise UserError(f"{reason}{rest}; {'make room' if full else 'put that right'} and resume") from error
