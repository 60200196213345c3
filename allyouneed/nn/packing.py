"""Padding left out: what treats each token alone runs on the real ones, side by side in one row.

A batch of sentences is half padding unless it is sorted by length. `pack` takes the real tokens of `b n w` to `1 t w`
and `unpack` puts them back, with zeros between; linear maps, norms and dropout between the two never see padding.
Only attention needs to know which tokens are neighbours, and `PackedSelfAttention` reads that off the padding mask.
"""

import torch
from torch import Tensor

from allyouneed.nn.attention import SelfAttention, merge_heads
from allyouneed.nn.layer import Context

PAYS = 0.06
"""The share of padding from which leaving it out pays for moving the rest: measured even at 6 %, and at 20 % a training
step of four layers of width 256 takes 14 % less."""


def real_places(mask: Tensor) -> Tensor | None:  # b 1 1 n -> t, or None
    """Where in the flat `b n` grid the real tokens are; None where packing does not pay, or cannot be compiled."""
    if torch.compiler.is_compiling():  # how many tokens are real is not known to a compiler
        return None
    places = mask.flatten().nonzero()[:, 0]
    return places if places.numel() < (1 - PAYS) * mask.numel() else None


def pack(x: Tensor, places: Tensor) -> Tensor:  # b n w -> 1 t w
    return x.flatten(0, 1).index_select(0, places)[None]


def unpack(x: Tensor, places: Tensor, b: int, n: int) -> Tensor:  # 1 t w -> b n w
    """Zeros where nothing was taken from. `index_add_` is the fastest of torch's ways to say it on a CPU."""
    return x.new_zeros(b * n, x.shape[-1]).index_add_(0, places, x[0]).view(b, n, -1)


class PackedSelfAttention(SelfAttention):
    """Self-attention that also takes a packed row: x is `1 t d`, and the padding mask `b 1 1 n` is True t times.

    A batch that is not packed has the mask's own sizes, so no flag is needed to tell the two.
    """

    def forward(self, x: Tensor, context: Context) -> Tensor:
        mask = context.mask
        if mask is None or x.shape[:2] == (mask.shape[0], mask.shape[-1]):
            return super().forward(x, context)
        places = torch.nonzero_static(mask.flatten(), size=x.shape[1])[:, 0]  # t is known: a GPU need not wait for it
        qkv = unpack(self.qkv(x), places, mask.shape[0], mask.shape[-1])  # b n (3 d)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # b h n k
        return self.out(pack(merge_heads(self.attend(q, k, v, mask)), places))
