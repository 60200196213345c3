"""Masks. True means: may be seen. They broadcast over heads: `b 1 1|n m`."""

import torch
from torch import Tensor


def padding_mask(ids: Tensor, pad: int = 0) -> Tensor:  # b m -> b 1 1 m
    """True at real tokens. The trap: `nn.MultiheadAttention` means the opposite by its boolean masks."""
    return (ids != pad)[:, None, None, :]


def causal_mask(queries: int, keys: int, device: torch.device | None = None) -> Tensor:  # n m
    """True at the present and the past, aligned at the end: of fewer queries than keys, the last is the newest.

    Aligned so, a single query sees all keys, and decoding step by step needs no other mask.
    """
    ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return ones.tril(diagonal=keys - queries)


def combine(*masks: Tensor | None) -> Tensor | None:
    """What all masks allow; None allows everything."""
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    result = given[0]
    for mask in given[1:]:
        result = result & mask
    return result
