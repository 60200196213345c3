"""Linear maps packed once for inference on a CPU: 8-bit integers, or floats in the layout that oneDNN computes in.

`packed(model, precision)` is a twin of a model: the same structure and the same forward passes, the linear maps swapped.
The plain twin of every part here is the float part that it was made from; tests compare them.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed.nn.heads import VocabularyHead

NARROW = 64
"""A map with fewer outputs stays as it is: there is nothing to win, and a gate is worth its 32 bits."""

TOGETHER = 2**19
"""Numbers that a product makes at a time (but 32 rows at least), so that they are still in the cache when scaled."""


class Int8Weights(nn.Module):
    """A matrix in 8 bits, each row (output) with a scale of its own; so has each row of the input, when it comes.

    With symmetric rounding to 127 steps, x w^T = (scale of x's row)(scale of w's row)(sum of integer products), and the
    sum is exact. No scale depends on another row, so a sentence gets the same product in any batch.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.scale = weight.detach().float().abs().amax(1).clamp_(min=1e-12) / 127  # o
        integers = (weight.detach().float() / self.scale[:, None]).round_().to(torch.int8)  # o i
        self.integers = torch.ops.onednn.qlinear_prepack(integers, None)
        self.zeros = torch.zeros(len(self.scale), dtype=torch.long)
        self.bias = None if bias is None else bias.detach().float()

    def forward(self, x: Tensor) -> Tensor:  # ... i -> ... o, in float32
        rows = x.reshape(-1, x.shape[-1]).float()
        together = max(32, TOGETHER // len(self.scale))
        if len(rows) <= together:
            return self._product(rows).view(*x.shape[:-1], -1)
        out = rows.new_empty(len(rows), len(self.scale))
        for part, place in zip(rows.split(together), out.split(together), strict=True):
            self._product(part, place)
        return out.view(*x.shape[:-1], -1)

    def _product(self, x: Tensor, out: Tensor | None = None) -> Tensor:  # r i -> r o
        largest = x.abs().amax(-1, keepdim=True).clamp_(min=1e-30)  # r 1
        integers = x.mul(127 / largest).round_().to(torch.int8)
        shifted = integers.view(torch.uint8) ^ 128  # 0 ... 255 with 128 for zero: what the processor multiplies by int8
        product = torch.ops.onednn.qlinear_pointwise(
            shifted, 1.0, 128, self.integers, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        largest.mul_(1 / 127)
        if self.bias is None:
            return torch.mul(product, largest, out=out)
        return torch.addcmul(self.bias, product, largest, out=out)


class PackedWeights(nn.Module):
    """A matrix in oneDNN's own layout: in float32 twice as fast as `F.linear` on an AMD processor, whose library MKL is.

    Its arithmetic is that of the type, float32 or bfloat16; the order of the sums is oneDNN's.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:  # ... i -> ... o
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")  # type: ignore[no-any-return]


class FastLinear(nn.Linear):
    """`nn.Linear` by packed weights; the plain ones stay for who reads them."""

    def __init__(self, plain: nn.Linear, pack: Callable[[Tensor, Tensor | None], nn.Module]):
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.weight, self.bias = plain.weight, plain.bias
        self.by = pack(plain.weight, plain.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.by(x)  # type: ignore[no-any-return]


class FastHead(VocabularyHead):
    """`VocabularyHead` by packed weights."""

    def __init__(self, plain: VocabularyHead, pack: Callable[[Tensor, Tensor | None], nn.Module]):
        nn.Module.__init__(self)
        self.weight, self.bias = plain.weight, plain.bias
        self.by = pack(plain.weight, plain.bias)

    def logits(self, x: Tensor) -> Tensor:
        return self.by(x)  # type: ignore[no-any-return]


SWAPS: dict[type, Callable[..., nn.Module]] = {nn.Linear: FastLinear, VocabularyHead: FastHead}


@cache
def has_int8() -> bool:
    """Whether this processor has instructions for products of 8-bit integers, and this torch uses them."""
    check = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(check and check()) and _works(Int8Weights)


@cache
def has_packing() -> bool:
    """Whether this torch has oneDNN's packed products."""
    return torch.backends.mkldnn.is_available() and _works(PackedWeights)


def _works(pack: type[nn.Module]) -> bool:
    """The operators are torch's own, but not among those that it promises to keep."""
    try:
        return bool(pack(torch.eye(NARROW), None)(torch.ones(1, NARROW)).allclose(torch.ones(1, NARROW)))
    except (AttributeError, RuntimeError, TypeError):
        return False


def packed(model: Any, precision: str) -> Any:
    """A twin of `model` for inference in `float32`, `bfloat16` or `int8`; the model itself is left as it is.

    Weights are packed as they are now: make a new twin when they have changed. In int8 all that lies between the
    products (norms, attention, residuals) is float32.
    """
    if precision == "bfloat16":
        twin = deepcopy(model).to(torch.bfloat16)
    else:  # what is not packed is shared with the model
        twin = deepcopy(model, {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())})
    _swap(twin, Int8Weights if precision == "int8" else PackedWeights)
    return twin.eval()


def _swap(module: nn.Module, pack: Callable[[Tensor, Tensor | None], nn.Module]) -> None:
    for name, child in list(module.named_children()):
        swap = SWAPS.get(type(child))
        if swap is None:
            _swap(child, pack)
        elif child.weight.shape[0] >= NARROW:  # type: ignore[union-attr, index]
            setattr(module, name, swap(child, pack))
