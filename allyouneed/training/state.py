"""The state of a training run as plain names and full tensors: the same in one process, under DDP and under FSDP2.

So a run can be resumed on another number of ranks, and nothing in a checkpoint needs pickle.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from allyouneed.training.averaging import ExponentialAverage
from allyouneed.training.distributed import like, whole


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, whole; all ranks must ask together."""
    return {name: whole(tensor.detach()) for name, tensor in model.state_dict(keep_vars=True).items()}


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: dict[str, Tensor]) -> None:
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
    """Adam's moments by parameter name; all ranks must ask together."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: {key: whole(value) for key, value in state.items()}
        for parameter, state in optimizer.state.items()
    }


def load_optimizer_state(optimizer: Optimizer, model: nn.Module, saved: dict[str, Any]) -> None:
    for name, parameter in model.named_parameters():
        if name in saved:
            optimizer.state[parameter] = {
                key: like(value, parameter) if value.shape == parameter.shape else value.clone()
                for key, value in saved[name].items()
            }


def average_state(average: ExponentialAverage | None) -> dict[str, Any]:
    if average is None:
        return {}
    state = average.state()
    return {**state, "averages": {name: whole(tensor) for name, tensor in state["averages"].items()}}


def load_average_state(average: ExponentialAverage | None, model: nn.Module, saved: dict[str, Any]) -> None:
    if average is None or not saved:
        return
    parameters = dict(model.named_parameters())
    placed = {name: like(tensor, parameters[name]) for name, tensor in saved["averages"].items()}
    average.load_state({**saved, "averages": placed})


def retied(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Gives every name of a tied parameter the tensor of its first name."""
    first: dict[int, str] = {}
    tied = {name: first.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}
    return {name: tensors[tied[name]] for name in tensors}
