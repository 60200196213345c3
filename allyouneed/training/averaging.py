"""Averages of weights: an exponential one kept while training, and the mean of saved models."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.training.checkpoint import load_tensors


class ExponentialAverage:
    """An exponential moving average of a model's state, in float32, whatever precision the model has.

    average += (1 - d) (parameter - average) with d = min(decay, (1 + t) / (10 + t)) after t updates, so that
    the random start is soon forgotten (TensorFlow's `num_updates` rule). Tied parameters are averaged once.
    The trap: BatchNorm's running statistics are buffers, and belong to the weights that made them; so the floating
    buffers that are saved with a model are averaged like its parameters.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.averages = {name: _float32_copy(value) for name, value in averaged(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the state as it is after an optimiser's update."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        values = [value.detach().float() for value in self._state(model)]
        torch._foreach_lerp_(list(self.averages.values()), values, 1 - decay)
        self.updates += 1

    def state(self) -> dict[str, Any]:
        """What `load_state` needs; the tensors are the live ones, so save them before the next update."""
        return {"updates": self.updates, "averages": dict(self.averages)}

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a saved state of a model with the same parameters; ValueError otherwise."""
        if (saved := state["averages"].keys()) != self.averages.keys():
            names = sorted(saved ^ self.averages.keys())
            raise ValueError(f"the saved average is of another model: {names} differ")
        for name, average in self.averages.items():
            average.copy_(state["averages"][name])
        self.updates = int(state["updates"])

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[nn.Module]:
        """``with average.swapped_in(model):`` it computes with the averages; afterwards exactly as before."""
        state = [value.detach() for value in self._state(model)]
        own = [value.clone() for value in state]
        try:
            for value, average in zip(state, self.averages.values(), strict=True):
                value.copy_(average)
            yield model
        finally:
            for value, before in zip(state, own, strict=True):
                value.copy_(before)

    def _state(self, model: nn.Module) -> list[Tensor]:
        by_name = averaged(model)
        if by_name.keys() != self.averages.keys():
            names = sorted(by_name.keys() ^ self.averages.keys())
            raise ValueError(f"not the model that is averaged: {names} differ")
        return [by_name[name] for name in self.averages]


def averaged(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, and the buffers that are part of a saved model."""
    saved = model.state_dict().keys()
    buffers = {name: value for name, value in model.named_buffers() if name in saved and value.is_floating_point()}
    return {**dict(model.named_parameters()), **buffers}


def average_files(
    paths: Sequence[str | Path], load: Callable[[Any], dict[str, Tensor]] = load_tensors
) -> dict[str, Tensor]:
    """The mean of the tensors in several model files, summed in float64 and returned in float32.

    Tied tensors are averaged once and stay tied; integer tensors (counters) are those of the last file.
    Raises UserError where there is no file, or where names or shapes differ between files.
    """
    if not paths:
        raise UserError("there are no model files to average")
    sums: dict[str, Tensor] = {}
    for path in paths:
        tensors = load(path)
        if sums:
            _check_layout(sums, tensors, path)
        tied: dict[int, Tensor] = {}
        for name, tensor in tensors.items():
            if id(tensor) not in tied:
                tied[id(tensor)] = _added(sums.get(name), tensor)
            sums[name] = tied[id(tensor)]
    means = {id(total): _mean(total, len(paths)) for total in sums.values()}
    return {name: means[id(total)] for name, total in sums.items()}


def _float32_copy(value: Tensor) -> Tensor:
    return value.detach().to(torch.float32, copy=True)


def _added(total: Tensor | None, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return tensor.double() if total is None else total + tensor


def _mean(total: Tensor, count: int) -> Tensor:
    return (total / count).float() if total.is_floating_point() else total


def _check_layout(sums: dict[str, Tensor], tensors: dict[str, Tensor], path: str | Path) -> None:
    for name in sorted(sums.keys() | tensors.keys()):
        if name not in sums or name not in tensors or sums[name].shape != tensors[name].shape:
            raise UserError(f"{path} cannot be averaged with the files before it: {name!r} differs in shape")
