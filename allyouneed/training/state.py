"""The state of a training run as plain names and tensors: the same names in one process, under DDP and under FSDP2.

So a run can be resumed on another number of ranks, and nothing in a checkpoint needs pickle. Sharded tensors stay
sharded here; who wants them whole asks for them (`gathered`).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from allyouneed.training.averaging import ExponentialAverage, averaged
from allyouneed.training.distributed import World, like, whole
from allyouneed.training.tensor_files import Stored


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, sharded where the model is."""
    return {name: tensor.detach() for name, tensor in model.state_dict(keep_vars=True).items()}


def gathered(tensors: Mapping[str, Tensor], world: World) -> dict[str, Tensor]:
    """Whole tensors on the first rank and none on the others; all must ask together, and none but the first holds more
    than one whole tensor at a time."""
    found: dict[int, Tensor] = {}
    for tensor in tensors.values():
        if id(tensor) not in found:  # a tied one is gathered once
            full = whole(tensor)
            found[id(tensor)] = full if world.first else tensor
    return {name: found[id(tensor)] for name, tensor in tensors.items()} if world.first else {}


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: Mapping[str, Tensor | Stored]) -> None:
    """Copies the tensors into the model; names and shapes must be the model's."""
    own = model.state_dict(keep_vars=True)
    if own.keys() != tensors.keys():
        raise ValueError(f"these weights are of another model: {sorted(own.keys() ^ tensors.keys())[:5]} differ")
    for name, tensor in own.items():
        if tensors[name].shape != tensor.shape:  # copy_ would spread a smaller one over a larger
            raise ValueError(f"{name} is {tuple(tensors[name].shape)} there and {tuple(tensor.shape)} in this model")
    for name, tensor in own.items():
        tensor.copy_(like(tensors[name], tensor))


def optimizer_state(optimizer: Optimizer, model: nn.Module) -> dict[str, Any]:
    """Adam's moments by parameter name, sharded as the parameters are."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter]: dict(state) for parameter, state in optimizer.state.items()}


def load_optimizer_state(optimizer: Optimizer, model: nn.Module, saved: dict[str, Any]) -> None:
    for name, parameter in model.named_parameters():
        if name in saved:
            optimizer.state[parameter] = {
                key: like(value, parameter) if value.shape == parameter.shape else value[...].clone()
                for key, value in saved[name].items()
            }


def average_state(average: ExponentialAverage | None) -> dict[str, Any]:
    return average.state() if average else {}


def load_average_state(average: ExponentialAverage | None, model: nn.Module, saved: dict[str, Any]) -> None:
    if average is None or not saved:
        return
    own = averaged(model)
    placed = {name: like(tensor, own[name]) for name, tensor in saved["averages"].items()}
    average.load_state({**saved, "averages": placed})


def retied(tensors: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Gives every name of a tied parameter the tensor of its first name."""
    first: dict[int, str] = {}
    tied = {name: first.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}
    return {name: tensors[tied[name]] for name in tensors}
