"""The arithmetic of decoding, chosen here and nowhere else."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from allyouneed.errors import UserError
from allyouneed.nn.packed import has_int8, has_packing, packed

AUTO = ("bfloat16", "int8", "float32")
"""What `auto` takes on a CPU: the first that the processor is made for (measured: docs/performance.md)."""


def prepared(model: Any, precision: str) -> Any:
    """`model` as a search should step it: on a CPU a twin with packed weights, made of the weights as they are now.

    `auto` is float32 on a GPU. What is no module (a graph, a table) or has been cast already is taken as it is.
    UserError for an arithmetic that the machine does not have.
    """
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    if first is None or first.dtype != torch.float32:
        return model
    device = first.device
    if device.type != "cpu":
        if precision == "int8":
            raise UserError(f"decoding.precision=int8 needs a CPU, and the model is on {device}; choose bfloat16")
        return deepcopy(model).to(torch.bfloat16) if precision == "bfloat16" else model
    available = {"float32": True, "bfloat16": has_bfloat16(), "int8": has_int8()}
    if precision == "auto":
        precision = next(name for name in AUTO if available[name])
    if not available[precision] and precision == "int8":
        raise UserError(
            "decoding.precision=int8 needs a processor with 8-bit products (AVX512-VNNI), which this one lacks; "
            "choose auto"
        )
    return packed(model, precision) if has_packing() else model


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    names = ("_is_avx512_bf16_supported", "_is_arm_bf16_supported")
    return any(bool(check()) for name in names if (check := getattr(torch.cpu, name, None)))
