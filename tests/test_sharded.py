"""Checkpoints of which each rank writes its rows: whole or not at all, and read by any number of ranks.

The ranks are threads here; `test_distributed.py` has them as processes under FSDP2.
"""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.training import checkpoint
from allyouneed.training.checkpoint import latest, save
from allyouneed.training.distributed import World, held_rows
from allyouneed.training.packing import pack, unpack
from allyouneed.training.tensor_files import serialized, stored


class Mesh(NamedTuple):
    rank: int
    ranks: int

    def size(self) -> int:
        return self.ranks

    def get_local_rank(self) -> int:
        return self.rank


class Shard:
    """What this code asks of a DTensor sharded along its rows: `torch.chunk` cuts as FSDP2 does."""

    def __init__(self, whole: Tensor, rank: int, ranks: int):
        self.whole, self.device_mesh = whole, Mesh(rank, ranks)
        parts = whole.chunk(ranks)
        self.local = parts[rank] if rank < len(parts) else whole[:0]

    def __len__(self) -> int:
        return len(self.whole)

    def to_local(self) -> Tensor:
        return self.local


class Threads(World):
    """A rank among threads."""

    def wait(self) -> None:
        self.device.barrier.wait()  # type: ignore[attr-defined]

    def gather(self, value: Any) -> list[Any]:
        box = self.device.box  # type: ignore[attr-defined]
        box[self.rank] = value
        self.wait()
        return list(box)


class Shared:
    def __init__(self, ranks: int):
        self.barrier, self.box = threading.Barrier(ranks), [None] * ranks


def in_ranks(ranks: int, work: Callable[[World], Any]) -> list[Any]:
    """What `work` returns or raises on each rank."""
    shared, found = Shared(ranks), [None] * ranks

    def one(rank: int) -> None:
        try:
            found[rank] = work(Threads(rank, ranks, shared))  # type: ignore[arg-type]
        except Exception as error:
            found[rank] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def model(step: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(step)  # of its own: the ranks draw at the same time
    made = {
        name: torch.randn(shape, generator=draw) for name, shape in (("wide", (7, 3)), ("bias", 5), ("one", (1, 2)))
    }
    return {**made, "count": torch.tensor(step)}


def write(folder: Path, step: int, ranks: int, keep: int = 3) -> list[Any]:
    """A checkpoint by so many ranks: `count` is whole on all, the rest is sharded, `tied` is `wide` once more."""

    def work(world: World) -> Path:
        shards: dict[str, Any] = {n: Shard(t, world.rank, ranks) if t.dim() else t for n, t in model(step).items()}
        shards["tied"] = shards["wide"]
        moment: Any = Shard(2 * model(step)["wide"], world.rank, ranks)
        _, scalars = pack({"moment": torch.zeros(1), "step": step})
        return save(folder, step, shards, {"moment": moment}, scalars, keep, world=world)

    return in_ranks(ranks, work)


def check(folder: Path, step: int) -> None:
    found, _ = latest(folder)
    assert found is not None and found.step == step
    tensors, state = found.model(), unpack(*found.state())
    for name, tensor in model(step).items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype
    assert tensors["tied"] is tensors["wide"]
    assert torch.equal(state["moment"], 2 * model(step)["wide"]) and state["step"] == step


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_what_ranks_wrote_is_read_whole(tmp_path: Path, ranks: int) -> None:
    write(tmp_path, 4, ranks)
    check(tmp_path, 4)
    names = sorted(path.name for path in (tmp_path / "step-00000004").iterdir())
    parts = [f"{k}-{i + 1:05d}-of-{ranks:05d}.safetensors" for k in ("model", "state") for i in range(ranks)]
    assert names == sorted([*parts, "state.json", "manifest.json"])


def test_each_row_is_written_by_one_rank(tmp_path: Path) -> None:
    write(tmp_path, 4, 3)
    found, _ = latest(tmp_path)
    assert found is not None
    pieces = found.stored_model()["wide"].pieces
    assert [(p.start, p.shape) for p in pieces] == [(0, (3, 3)), (3, (3, 3)), (6, (1, 3))]
    assert [p.start for p in found.stored_model()["one"].pieces] == [0]  # two ranks have nothing of it
    assert len(found.stored_model()["count"].pieces) == 1


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 9), writers=st.integers(1, 5), readers=st.integers(1, 5))
def test_any_number_of_ranks_reads_what_any_number_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: int, writers: int, readers: int
) -> None:
    folder, whole = tmp_path_factory.mktemp("parts"), torch.randn(rows, 2)
    paths = []
    for rank in range(writers):
        shard = Shard(whole, rank, writers)
        held = held_rows(shard)  # type: ignore[arg-type]
        assert held is not None and torch.equal(whole[held], shard.to_local())
        if held.stop > held.start:
            paths.append(folder / f"{rank}.safetensors")
            paths[-1].write_bytes(b"".join(serialized({"w": shard.to_local()}, {"w": held.start})))
    tensor = stored(paths)["w"]
    assert tensor.shape == whole.shape and torch.equal(tensor[...], whole)
    for rank in range(readers):
        shard = Shard(whole, rank, readers)
        assert torch.equal(tensor[held_rows(shard)], shard.to_local())  # type: ignore[index, arg-type]


def test_a_shard_is_read_without_the_others(tmp_path: Path) -> None:
    whole = torch.randn(6, 2)
    for start in (0, 3):
        (tmp_path / f"{start}").write_bytes(b"".join(serialized({"w": whole[start : start + 3]}, {"w": start})))
    tensor = stored([tmp_path / "0", tmp_path / "3"])["w"]
    (tmp_path / "3").unlink()
    assert torch.equal(tensor[0:3], whole[0:3])
    with pytest.raises(UserError, match="cannot read"):
        tensor[2:4]


@pytest.mark.parametrize("refusing", [0, 1, 2])
def test_one_rank_whose_disk_refuses_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: int) -> None:
    write(tmp_path, 10, 3)
    written = checkpoint._write

    def refuse(path: Path, pieces: Iterable[bytes]) -> dict[str, Any]:
        if f"-{refusing + 1:05d}-of" in path.name:
            raise OSError(28, os.strerror(28))
        return written(path, pieces)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", refuse)
        errors = write(tmp_path, 20, 3)
    assert all("no space left on" in str(e) and "step 10 is kept" in str(e) for e in errors), errors
    assert {type(e) for e in errors} == {UserError}
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]
    check(tmp_path, 10)
    write(tmp_path, 20, 3)
    check(tmp_path, 20)


@pytest.mark.parametrize("spoil", ["missing", "torn"])
def test_a_checkpoint_with_a_spoilt_shard_is_skipped(tmp_path: Path, spoil: str) -> None:
    write(tmp_path, 10, 2)
    write(tmp_path, 20, 2)
    path = tmp_path / "step-00000020" / "model-00002-of-00002.safetensors"
    path.unlink() if spoil == "missing" else path.write_bytes(path.read_bytes()[:-3])
    check(tmp_path, 10)
    _, warnings = latest(tmp_path)
    assert "step-00000020 is skipped" in warnings[0] and path.name in warnings[0]


def test_ranks_prune_as_one_process_does(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        write(tmp_path, step, 2, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000020", "step-00000030"]
    write(tmp_path, 40, 1, keep=2)  # and one process goes on in the same folder
    check(tmp_path, 40)
