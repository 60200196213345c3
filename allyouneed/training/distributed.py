"""Several processes: torchrun starts them, DDP or FSDP2 joins them. One process is the same code, a world of one."""

import gc
import os
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from allyouneed.training.tensor_files import Stored


class World(NamedTuple):
    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def agree(self, value: bool) -> bool:
        """True everywhere if it is True on any rank: all stop together."""
        return self.share(float(value), dist.ReduceOp.MAX) > 0 if self.size > 1 else value

    def share(self, value: float, how: Any = None) -> float:
        """The sum (or another reduction) of a number over the ranks."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, op=how or dist.ReduceOp.SUM)
        return float(tensor)

    def from_first(self, value: Any) -> Any:
        """What rank 0 holds, on every rank."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """What each rank holds, on every rank."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values


ALONE = World(0, 1, torch.device("cpu"))


def join() -> World:
    """The world that torchrun's environment describes, joined; without torchrun a world of one."""
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if "RANK" not in os.environ:
        return World(0, 1, device)
    if not dist.is_initialized():
        # Rank 0 validates alone while the others wait, so the limit is that of a long validation.
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=2))
    return World(dist.get_rank(), dist.get_world_size(), device)


def leave() -> None:
    """Ends the group. What still held it (a sharded model, in cycles of its own) goes first, or its threads outlive it."""
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def shard(model: nn.Module, world: World) -> None:
    """FSDP2: parameters, gradients and optimiser state live in shards, gathered layer by layer when needed."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    for module in model.modules():
        if isinstance(module, nn.ModuleDict):  # the layers of a Stack
            for layer in module.values():
                fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def wrap(module: nn.Module, world: World, parallel: str) -> nn.Module:
    """The module as the ranks share it."""
    if world.size == 1:
        return module
    if parallel == "fsdp":
        shard(module, world)
        return module
    devices = [world.device.index] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(module, device_ids=devices)


def synchronised(module: nn.Module, last: bool) -> Any:
    """A context in which gradients are shared over the ranks only by the last backward pass of a step."""
    if isinstance(module, nn.parallel.DistributedDataParallel) and not last:
        return module.no_sync()
    if hasattr(module, "set_requires_gradient_sync"):
        module.set_requires_gradient_sync(last)  # type: ignore[operator]
    return nullcontext()


def whole(tensor: Tensor) -> Tensor:
    """The full tensor behind a shard; all ranks must ask together."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def held_rows(tensor: Tensor) -> slice | None:
    """The rows that this rank holds of a tensor sharded by FSDP2, in equal parts but for the last; None if it is whole."""
    if not hasattr(tensor, "device_mesh"):
        return None
    mesh = tensor.device_mesh
    each = -(-len(tensor) // mesh.size())
    first = min(mesh.get_local_rank() * each, len(tensor))
    return slice(first, min(first + each, len(tensor)))


def like(tensor: Tensor | Stored, model: Tensor) -> Tensor:
    """A full tensor, or one on disk, placed as `model` is; where that is sharded only this rank's rows are taken."""
    rows = held_rows(model)
    if rows is None:
        return tensor[...].to(model.device)
    from torch.distributed.tensor import DTensor

    own = tensor[rows].to(model.device, copy=True)
    return DTensor.from_local(
        own, model.device_mesh, model.placements, run_check=False, shape=model.shape, stride=model.stride()  # type: ignore[attr-defined]
    )  # fmt: skip
