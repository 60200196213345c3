"""Checkpoints: exact when nothing goes wrong, and one of them is always whole when something does."""

import copy
import errno
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.training import checkpoint
from allyouneed.training.checkpoint import latest, load_tensors, save, save_tensors
from allyouneed.training.packing import pack, unpack

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.uint8, torch.int64, torch.bool]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the code under test may catch it or clean up after it."""


def same(one: Any, other: Any) -> bool:
    """Equal types, structure and bits; NaN equals NaN."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bits(one) == bits(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return repr(one) == repr(other)


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())


def write(folder: Path, step: int, keep: int = 3) -> Path:
    """A small checkpoint whose content tells its step."""
    tensors, structure = pack({"moment": torch.full((4,), float(step)), "step": step})
    return save(folder, step, {"weight": torch.full((3, 2), float(step))}, tensors, structure, keep)


def check_whole(folder: Path, steps: set[int]) -> int:
    found, _ = latest(folder)
    assert found is not None
    assert found.step in steps
    assert torch.equal(found.model()["weight"], torch.full((3, 2), float(found.step)))
    assert unpack(*found.state())["step"] == found.step
    return found.step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip_is_exact(tmp_path: Path) -> None:
    model = {str(dtype): (torch.randn(5, 3) * 3).to(dtype) for dtype in DTYPES}
    model |= {"scalar": torch.tensor(1.5), "empty": torch.zeros(0, 4), "turned": torch.randn(3, 4).t()}
    state = {
        "rng": torch.get_rng_state(),
        "python": random.getstate(),
        "odd": [0.1, -0.0, 1e-320, math.inf, -math.inf, math.nan, 2**70, True, None, "ä\n", ()],
        1: {"exp_avg": torch.randn(3), (2, "x"): []},
        "1": {},
    }
    path = save(tmp_path, 1200, model, *pack(state), keep=1)
    found, warnings = latest(tmp_path)
    assert found is not None
    assert (path.name, found.path, found.step, warnings) == ("step-00001200", path, 1200, [])
    assert names(path) == ["manifest.json", "model.safetensors", "state.json", "state.safetensors"]
    assert same(dict(sorted(found.model().items())), dict(sorted(model.items())))
    assert same(unpack(*found.state()), state)


def test_pack_refuses_what_it_cannot_give_back() -> None:
    with pytest.raises(TypeError, match=r"set at 'a\.b'"):
        pack({"a": {"b": {1, 2}}})


def test_pack_keeps_tensors_of_like_names_apart() -> None:
    tree = {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}, "__metadata__": torch.tensor(3.0)}
    tensors, structure = pack(tree)
    assert len(tensors) == 3
    assert "__metadata__" not in tensors
    assert same(unpack(tensors, json.loads(json.dumps(structure))), tree)
    assert same(unpack(*pack(torch.ones(2))), torch.ones(2))


def test_adamw_continues_bit_by_bit(tmp_path: Path) -> None:
    def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.dropout(model(torch.randn(8, 4)), 0.2).square().sum().backward()
            optimizer.step()

    torch.manual_seed(1)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.9, 0.98))
    train(model, optimizer, 3)
    state = {"optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}
    save(tmp_path, 3, model.state_dict(), *pack(state), keep=1)
    before = copy.deepcopy(optimizer.state_dict())
    train(model, optimizer, 3)

    again = nn.Linear(4, 4)
    other = torch.optim.AdamW(again.parameters(), lr=0.7)
    found, _ = latest(tmp_path)
    assert found is not None
    state = unpack(*found.state())
    again.load_state_dict(found.model())
    other.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    assert same(other.state_dict(), before)
    train(again, other, 3)
    assert same(dict(again.state_dict()), dict(model.state_dict()))
    assert same(other.state_dict(), optimizer.state_dict())


def test_tied_tensors_are_stored_once_and_come_back_tied(tmp_path: Path) -> None:
    weight, fused = torch.randn(100, 10), torch.randn(3, 4)
    model = {"embedding": weight, "head": weight, "query": fused[0], "key": fused[1], "both": fused[0:2]}
    save_tensors(tmp_path / "m.safetensors", model)
    loaded = load_tensors(tmp_path / "m.safetensors")
    assert all(torch.equal(loaded[name], value) for name, value in model.items())
    assert loaded["embedding"] is loaded["head"]
    assert (tmp_path / "m.safetensors").stat().st_size < 1.5 * weight.nbytes
    loaded["query"].zero_()  # parts of one storage come back apart
    assert torch.equal(loaded["both"], fused[0:2])


def test_the_files_are_safetensors(tmp_path: Path) -> None:
    """Written by our own hand, read by the format's own library."""
    tensors = {str(dtype): (torch.randn(5, 3) * 3).to(dtype) for dtype in DTYPES}
    tensors |= {
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 4),
        "turned": torch.randn(3, 4).t(),
        "ä": torch.ones(1),
    }
    save_tensors(tmp_path / "m.safetensors", tensors)
    assert same(dict(sorted(load_file(tmp_path / "m.safetensors").items())), dict(sorted(tensors.items())))
    content = (tmp_path / "m.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__") == {"format": "pt"}
    for name, facts in header.items():  # so that a reader may map it: each at a multiple of its size
        assert facts["data_offsets"][0] % tensors[name].element_size() == 0


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    weight = torch.randn(3)
    for name in ("a", "b"):
        save_tensors(tmp_path / name, {"x": weight.clone(), "y": torch.ones(2)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_old_ones_are_pruned_and_strangers_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "step-00000001"
    stranger.mkdir()
    (stranger / "diary.txt").write_text("mine")
    for step in (10, 20, 30, 40):
        write(tmp_path, step, keep=2)
    assert names(tmp_path) == ["step-00000001", "step-00000030", "step-00000040"]


def test_nothing_there(tmp_path: Path) -> None:
    assert latest(tmp_path) == (None, [])
    assert latest(tmp_path / "nowhere") == (None, [])


def truncated(path: Path) -> None:
    content = (path / "state.safetensors").read_bytes()
    (path / "state.safetensors").write_bytes(content[:-5])


def one_byte_changed(path: Path) -> None:
    content = bytearray((path / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (path / "model.safetensors").write_bytes(content)


def without_state(path: Path) -> None:
    (path / "state.json").unlink()


def foreign(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()
    (path / "pytorch_model.bin").write_bytes(b"x")


def of_another_step(path: Path) -> None:
    shutil.rmtree(path)
    shutil.copytree(path.parent / "step-00000010", path)


def manifest_mangled(path: Path) -> None:
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"sha256"', '"sha257"'))


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (truncated, "state.safetensors is torn"),
    (one_byte_changed, "model.safetensors is damaged"),
    (without_state, "state.json cannot be read"),
    (foreign, "no readable manifest.json"),
    (of_another_step, "is that of step 10"),
    (manifest_mangled, "manifest.json is damaged"),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_a_spoilt_checkpoint_is_skipped_with_a_warning(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    write(tmp_path, 10)
    spoil(write(tmp_path, 20))
    assert check_whole(tmp_path, {10}) == 10
    _, warnings = latest(tmp_path)
    assert len(warnings) == 1
    assert "step-00000020 is skipped" in warnings[0]
    assert words in warnings[0]
    # Training goes on from 10; the next checkpoint counts as the newest although it is of a lower step,
    write(tmp_path, 15, keep=1)
    assert check_whole(tmp_path, {15}) == 15
    # and one of the same step takes the place of the spoilt one.
    write(tmp_path, 20, keep=1)
    assert check_whole(tmp_path, {20}) == 20
    assert names(tmp_path) == ["step-00000020"]


@pytest.mark.parametrize("position", range(0, 1000, 37))
def test_any_changed_byte_of_the_manifest_is_survived(tmp_path: Path, position: int) -> None:
    write(tmp_path, 10)
    path = write(tmp_path, 20) / "manifest.json"
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1
    path.write_bytes(content)
    check_whole(tmp_path, {10, 20})


def die_at(monkeypatch: pytest.MonkeyPatch, moment: int, death: BaseException) -> None:
    """Let the n-th thing done to the disk fail; a write fails half done."""
    left = [moment]

    def mortal(function: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                if half and left[0] == -1:
                    half(*args)
                raise death
            return function(*args, **kwargs)

        return wrapped

    def half_write(path: Path, pieces: Iterable[bytes]) -> None:
        content = b"".join(pieces)
        path.write_bytes(content[: len(content) // 2])

    def half_delete(path: Path, *_: Any) -> None:
        next(iter(Path(path).iterdir())).unlink()

    monkeypatch.setattr(checkpoint, "_write", mortal(checkpoint._write, half_write))
    monkeypatch.setattr(os, "rename", mortal(os.rename))
    monkeypatch.setattr(os, "fsync", mortal(os.fsync))
    monkeypatch.setattr(os, "mkdir", mortal(os.mkdir))
    monkeypatch.setattr(shutil, "rmtree", mortal(shutil.rmtree, half_delete))


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("step", [20, 10], ids=["next", "same"])
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, keep: int
) -> None:
    """Every operation on the disk is in turn the last one; saving again then works and tidies up."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # hundreds of syncs would only wait for the disk
    outcomes = []
    for moment in range(100):
        folder = tmp_path / str(moment)
        write(folder, 5, keep)
        write(folder, 10, keep)
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, moment, Killed())
            try:
                write(folder, step, keep)
            except Killed:
                outcomes.append(check_whole(folder, {10, step}))
            else:
                break
        check_whole(folder, {10, step})
        write(folder, 30, keep)
        assert check_whole(folder, {30}) == 30
        assert not [name for name in names(folder) if not name.startswith("step-")]
        assert names(folder)[-1] == "step-00000030"
    assert 10 < len(outcomes) < 60
    assert outcomes[0] == 10
    assert outcomes[-1] == step


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_the_previous_checkpoint_kept(tmp_path: Path, number: int) -> None:
    write(tmp_path, 10)
    delete = shutil.rmtree
    for moment in range(1, 10):
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, moment, OSError(number, os.strerror(number)))
            # The clean-up must work while the disk stays full: deleting needs no space.
            patch.setattr(shutil, "rmtree", delete)
            with pytest.raises(UserError, match=f"no space left on {tmp_path}; the checkpoint of step 10 is kept"):
                write(tmp_path, 20)
        assert names(tmp_path) == ["step-00000010"]
        assert check_whole(tmp_path, {10}) == 10


def test_a_full_disk_at_the_first_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die_at(monkeypatch, 1, OSError(errno.ENOSPC, "full"))
    with pytest.raises(UserError, match="no space left") as caught:
        save_tensors(tmp_path / "model.safetensors", {"a": torch.zeros(2)})
    assert "is kept" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "checkpoints"):
        with pytest.raises(UserError, match="cannot write"):
            write(folder, 1)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, b"{}" * 64, b"PK\x03\x04" + b"\0" * 100])
def test_foreign_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors is truncated or is not a safetensors file"):
        load_tensors(path)


def test_missing_and_torn_model_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match=r"cannot read .*model\.safetensors"):
        load_tensors(path)
    save_tensors(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="truncated"):
        load_tensors(path)
