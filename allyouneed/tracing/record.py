"""Recording attention from outside: hooks keep what went in, and the maps are made when someone asks for them.

The fast kernel keeps running, so a model's outputs are bit-equal with and without a recorder.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError


class Look(NamedTuple):
    """What one call of an `attend` was given, detached."""

    module: nn.Module
    q: Tensor  # b h n k
    k: Tensor  # b h m k
    mask: Tensor | None  # broadcasts to b h n m, True where looking is allowed


class Recording:
    """What was seen, by the module's name. A module called again (`Repeat`, decoding) has `#2`, `#3` ... at its name."""

    def __init__(self) -> None:
        self.looks: dict[str, Look] = {}
        self._calls: Counter[str] = Counter()

    def keep(self, name: str, look: Look) -> None:
        self._calls[name] += 1
        calls = self._calls[name]
        self.looks[name if calls == 1 else f"{name}#{calls}"] = look

    def maps(self) -> dict[str, Tensor]:
        """Attention maps b h n m, made now. Rows sum to one, or to zero where nothing may be seen."""
        with torch.no_grad():
            return {name: _weights(look.module, look.q, look) for name, look in self.seen().items()}

    def visible(self) -> dict[str, Tensor]:
        """Which cells of each map may be looked at, b h n m, causal masks included: masked is not the same as zero.

        A zero query likes all keys alike, so the cells to which it gives weight are those that may be seen. That
        asks the module itself, whatever masks it makes inside.
        """
        with torch.no_grad():
            return {
                name: _weights(look.module, torch.zeros_like(look.q), look) > 0 for name, look in self.seen().items()
            }

    def seen(self) -> dict[str, Look]:
        """The recorded calls; an error if there is none, so that nobody takes an empty result for an answer."""
        if not self.looks:
            raise UserError(
                "nothing was recorded: no attention of the recorded model ran, or it ran inside torch.compile, where "
                "hooks do not fire; call the model itself, uncompiled, inside `with record(model)`"
            )
        return self.looks


def _weights(module: Any, q: Tensor, look: Look) -> Tensor:
    weights: Tensor = module.weights(q, look.k, look.mask)
    return weights


@contextmanager
def record(model: nn.Module) -> Iterator[Recording]:
    """Records every attention that runs in the block: `with record(model) as seen: model(x)`, then `seen.maps()`.

    Watched is each module with a method `weights(q, k, mask)`. The model keeps its mode; put it into `eval()` first,
    or dropout makes the outputs differ from what the maps say. UserError if there is nothing to record.
    """
    watched = {name: module for name, module in model.named_modules() if callable(getattr(module, "weights", None))}
    _check(model, watched)
    seen = Recording()
    handles = []
    try:
        for name, module in watched.items():
            handles.append(module.register_forward_pre_hook(_keeper(seen, name), with_kwargs=True))
        yield seen
    finally:
        for handle in handles:
            handle.remove()
    seen.seen()


def _check(model: nn.Module, watched: dict[str, nn.Module]) -> None:
    if any(hasattr(module, "_orig_mod") or module._compiled_call_impl is not None for module in model.modules()):
        raise UserError(
            "this model is compiled by torch.compile, where hooks do not fire, so nothing would be recorded; "
            "record the model from which it was made (its `_orig_mod`)"
        )
    if not watched:
        raise UserError(
            f"there is nothing to record in {type(model).__name__}: none of its modules has a method "
            "`weights(q, k, mask)`, as allyouneed's `Attend` has"
        )


def _keeper(seen: Recording, name: str) -> Any:
    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.compiler.is_compiling():
            return  # a compiled region would keep the tensors of its first run only: rather nothing, which is an error
        given = dict(zip(("q", "k", "v", "mask"), args, strict=False)) | kwargs
        mask = given.get("mask")
        seen.keep(name, Look(module, given["q"].detach(), given["k"].detach(), None if mask is None else mask.detach()))

    return keep
