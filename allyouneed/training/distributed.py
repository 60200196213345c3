"""Several processes: torchrun starts them, DDP or FSDP2 joins them. One process is the same code, a world of one."""

import os
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn


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
    if dist.is_initialized():
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


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A full tensor placed (sharded) as `model` is."""
    if not hasattr(model, "device_mesh"):
        return tensor.to(model.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)  # type: ignore[attr-defined]
