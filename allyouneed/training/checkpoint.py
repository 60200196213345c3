"""Checkpoints that survive a kill at any moment: a folder per step, written aside, synced, then renamed.

checkpoints/step-00001200/ holds `model.safetensors`, `state.safetensors` (optimiser, averages, generators),
`state.json` (everything that is not a tensor) and `manifest.json`, written last, with the size and SHA-256 of
the others. There is no pickle: `pack` splits a nested state into tensors and JSON, `unpack` puts it together.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from allyouneed.errors import UserError

FORMAT = "allyouneed checkpoint 1"
MODEL, STATE, SCALARS, MANIFEST = "model.safetensors", "state.safetensors", "state.json", "manifest.json"
ASIDE = ".unfinished-"  # names that a dead process may have left; the next save deletes them
NAME = re.compile(r"step-(\d{8,})(\.replaced)?")


class Checkpoint(NamedTuple):
    """A verified checkpoint on disk."""

    step: int
    path: Path

    def model(self) -> dict[str, Tensor]:
        """The model's tensors, tied names included."""
        return load_tensors(self.path / MODEL)

    def state(self) -> tuple[dict[str, Tensor], Any]:
        """The state's tensors and JSON as given to `save`: `unpack(*checkpoint.state())` if packed."""
        return load_tensors(self.path / STATE), json.loads((self.path / SCALARS).read_text(encoding="utf-8"))


def save(
    folder: str | Path,
    step: int,
    model_tensors: Mapping[str, Tensor],
    state_tensors: Mapping[str, Tensor],
    state_json: Any,
    keep: int,
    every: int = 1,
) -> Path:
    """Write `folder`/step-NNNNNNNN, completely or not at all; then delete all but the newest `keep`.

    Those whose step is no multiple of `every` (Ctrl-C made them) go when a newer one is there and count for nothing,
    so that a run that was interrupted keeps the same checkpoints as one that was not.

    `folder` belongs to one run and one writing process. `state_json` must be plain JSON with text keys, as
    `pack` makes it. Raises UserError where the disk is full or refuses; what was there is then untouched.
    """
    folder = Path(folder)
    target, aside = folder / f"step-{step:08d}", folder / f"{ASIDE}step-{step:08d}"
    with _disk_errors(folder, aside):
        folder.mkdir(parents=True, exist_ok=True)
        _delete_leftovers(folder)
        aside.mkdir()
        _write_files(aside, step, model_tensors, state_tensors, state_json)
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
    _write_whole(Path(path), _serialized(tensors))


def write_text(path: str | Path, text: str) -> None:
    """A text file that is there whole, or as it was before."""
    _write_whole(Path(path), text.encode("utf-8"))


def _write_whole(path: Path, content: bytes) -> None:
    aside = path.with_name(ASIDE + path.name)
    with _disk_errors(path, aside):
        aside.unlink(missing_ok=True)
        _write(aside, content)
        os.rename(aside, path)
        _sync_folder(path.parent)


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, tied names sharing one; UserError if torn or foreign."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            aliases = json.loads((file.metadata() or {}).get("aliases", "{}"))
        return tensors | {name: tensors[stored] for name, stored in aliases.items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is truncated or is not a safetensors file ({error}); use another copy") from None


# A packed tree is JSON in which every object is a tag, so that texts and lists stand for themselves.


def pack(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Split nested dicts, lists, tuples, tensors and scalars into (tensors by name, JSON)."""
    tensors: dict[str, Tensor] = {}

    def walk(node: Any, name: str) -> Any:
        if isinstance(node, Tensor):
            name = name or "tensor"
            while name in tensors or name == "__metadata__":  # "__metadata__" is taken by the file format
                name += "_"
            tensors[name] = node
            return {"tensor": name}
        if isinstance(node, Mapping):
            pairs = node.items()
            return {"dict": [[walk(key, name), walk(value, f"{name}.{key}".strip("."))] for key, value in pairs]}
        if isinstance(node, list | tuple):
            items = [walk(item, f"{name}.{index}".strip(".")) for index, item in enumerate(node)]
            return items if isinstance(node, list) else {"tuple": items}
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"a checkpoint cannot hold the {type(node).__name__} at {name!r}")

    return tensors, walk(tree, "")


def unpack(tensors: Mapping[str, Tensor], structure: Any) -> Any:
    """The tree that was packed: same values to the last bit, same tuples, same integer keys."""
    if isinstance(structure, list):
        return [unpack(tensors, item) for item in structure]
    if not isinstance(structure, dict):
        return structure
    ((tag, content),) = structure.items()
    if tag == "tensor":
        return tensors[content]
    if tag == "tuple":
        return tuple(unpack(tensors, item) for item in content)
    return {unpack(tensors, key): unpack(tensors, value) for key, value in content}


def _serialized(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file; a tensor's second name becomes an alias, other shared memory is copied."""
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[Any, str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        view = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and view in seen:
            aliases[name] = seen[view]
            continue
        seen[view] = name
        value = tensor.detach().cpu().contiguous()
        shared = (address := value.untyped_storage().data_ptr()) in storages
        storages.add(address)
        stored[name] = value.clone() if shared else value
    # One entry only: the writer orders several at random, and equal weights should make equal files.
    return to_bytes(stored, {"aliases": json.dumps(aliases)} if aliases else {"format": "pt"})


def _write_files(folder: Path, step: int, model: Any, state: Any, scalars: Any) -> None:
    def described(name: str, content: bytes) -> dict[str, Any]:
        _write(folder / name, content)
        return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    files = {
        MODEL: described(MODEL, _serialized(model)),
        STATE: described(STATE, _serialized(state)),
        SCALARS: described(SCALARS, json.dumps(scalars).encode()),
    }
    _write(folder / MANIFEST, json.dumps({"format": FORMAT, "step": step, "files": files}, indent=1).encode())
    _sync_folder(folder)


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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
        faults = [_file_fault(path / name, **manifest["files"][name]) for name in (MODEL, STATE, SCALARS)]
    except (KeyError, TypeError):
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
