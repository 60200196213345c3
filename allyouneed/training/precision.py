"""Arithmetic of the forward pass: float32, or bfloat16 autocast where the processor has it."""

from contextlib import nullcontext
from typing import Any

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    arm = getattr(torch.cpu, "_is_arm_bf16_supported", None)
    return bool(check and check()) or bool(arm and arm())


def autocast(precision: str, device: torch.device) -> Any:
    """The context for a forward pass; `auto` takes bfloat16 where it is fast."""
    if precision == "float32" or (precision == "auto" and not has_bfloat16(device)):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
