"""Convolutional Sequence to Sequence Learning. Gehring et al. 2017, https://arxiv.org/abs/1705.03122

source ids -> embedding + position -> gated convolution x N -> keys z; values (z + embedding) sqrt(1/2);
target ids -> embedding + position -> (causal gated convolution, attention) x N -> logits.
"""

import re
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from allyouneed.nn.alignment import UnscaledAttend, align
from allyouneed.nn.convolution import CausalGatedConvolution, GatedConvolution, real
from allyouneed.nn.dropout import Dropout
from allyouneed.nn.frames import EncoderDecoder, Tagger
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.translator import TranslatorConfig, ends

HALF = 0.5**0.5
"""The sum of two things of variance one has variance two; times sqrt(1/2) it has one again (section 3.4)."""


class ConvConfig(TranslatorConfig):
    """The numbers of a convolutional translator. The defaults are the preset `small`."""

    scale_embedding: bool = Field(False, description="Embeddings times sqrt(dim); this paper's are not.")
    positions: Literal["interleaved", "halves", "tensor2tensor", "learned", "none"] = Field(
        "learned", description="Learned positions (the paper's), or as for the Transformer."
    )
    hidden_dim: int | None = Field(None, ge=1, description="Channels of the convolutions; none: dim.")
    kernel: int = Field(3, ge=1, description="Width of the kernels, odd.")
    depth: int = Field(5, ge=1, description="Layers on each side.")
    order: str | None = Field(
        None, description="Encoder's layers, CHANNELSxKERNEL[@DILATION][*TIMES] ...; none: all are alike."
    )
    decoder_order: str | None = Field(None, description="Decoder's layers, written so too; none: as the encoder's.")
    out_dim: int | None = Field(
        None, ge=1, description="Width that the softmax reads; none: dim. Others need tie=none."
    )

    @model_validator(mode="after")
    def _fits(self) -> "ConvConfig":
        encoder, _ = (layers(order) for order in orders(self))
        for channels, kernel, _ in encoder:
            if kernel % 2 == 0:
                raise ValueError(f"{channels}x{kernel}: a kernel of the encoder is odd, to reach as far left as right")
        if self.tie != "none" and self.out_dim not in (None, self.dim):
            raise ValueError(f"out_dim {self.out_dim} is not dim {self.dim}, so nothing can be tied; use tie 'none'")
        return self


class Shape(NamedTuple):
    """The numbers of one convolution."""

    channels: int
    kernel: int
    dilation: int


def layers(order: str) -> list[Shape]:
    """`512x3*9 2048x1` -> nine layers of 512 channels and kernel 3, one of 2048 and 1; `64x3@2` looks 2 apart."""
    found = []
    for word in order.split():
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(?:@([1-9]\d*))?(?:\*([1-9]\d*))?", word)
        if match is None:
            raise ValueError(f"{word!r} is no layer of an order; write CHANNELSxKERNEL[@DILATION][*TIMES], as 256x3*5")
        channels, kernel, dilation, times = (int(number or 1) for number in match.groups())
        found += [Shape(channels, kernel, dilation)] * times
    if not found:
        raise ValueError("an order without a single layer is none; write CHANNELSxKERNEL[@DILATION][*TIMES] ...")
    return found


def orders(c: ConvConfig) -> tuple[str, str]:
    """Encoder's and decoder's layers."""
    encoder = c.order or f"{c.hidden_dim or c.dim}x{c.kernel}*{c.depth}"
    return encoder, c.decoder_order or encoder


_WMT = "512x3*9 1024x3*4 2048x1*2"

PRESETS = {
    "small": ConvConfig(),
    # Kernels of 3 that look 1, 2 and 4 apart: three layers see 15 places where plain ones see 7.
    "dilated": ConvConfig(order="256x3@1 256x3@2 256x3@4 256x3*2"),
    # Section 4.2: 512 everywhere and 20 layers for small data (En-Ro); wider layers towards the top for WMT En-De.
    "paper": ConvConfig(dim=512, depth=20, vocab_size=40000, tie="none", positions_length=1024, dropout=0.2),
    "paper-wmt": ConvConfig(
        dim=768, order=_WMT, decoder_order=_WMT, out_dim=512, vocab_size=40000, tie="none", positions_length=1024,
        dropout=0.2,
    ),
}  # fmt: skip


class GatedEncoder(Layer):
    """Gated convolutions with residual connections, `b n d -> b n d` (section 3.2)."""

    def __init__(self, dim: int, shapes: list[Shape], dropout: float):
        super().__init__()
        self.enter = nn.Linear(dim, shapes[0].channels)
        self.convolutions, self.skips = nn.ModuleList(), nn.ModuleList()
        width = shapes[0].channels
        for channels, kernel, dilation in shapes:
            self.convolutions.append(GatedConvolution(width, kernel, dilation, channels))
            self.skips.append(skip(width, channels))
            width = channels
        self.leave = nn.Linear(width, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = self.enter(x)
        for convolution, past in zip(self.convolutions, self.skips, strict=True):
            x = (convolution(self.dropout(x), context) + past(x)) * HALF
        return real(self.leave(x), context.mask)


def skip(width: int, channels: int) -> nn.Module:
    """The residual connection, which is projected where the width changes."""
    return nn.Identity() if width == channels else nn.Linear(width, channels)


class Memory(Layer):
    """The encoder with what its embeddings add: memory is keys z and values side by side, b m 2d.

    The values also hold the embedding, that is, the word itself beside its context (section 3.3). They are multiplied
    by sqrt(m), m tokens: a mean of m values has 1/m of their variance (section 3.4). Each of the decoder's layers sends
    a gradient to z, which is divided by twice their number (fairseq's choice; the paper's is their number).
    """

    def __init__(self, encoder: GatedEncoder, readers: int):
        super().__init__()
        self.encoder, self.scale = encoder, 1 / (2 * readers)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b m d -> b m 2d
        assert context.mask is not None, "The encoder needs a mask that says how many tokens there are."
        keys = self.encoder(x, context)
        keys = keys.detach() + (keys - keys.detach()) * self.scale  # the same keys, and a part of their gradient
        tokens = context.mask.sum(-1).to(x.dtype)  # b 1 1
        return torch.cat([keys, (keys + x) * HALF * tokens.sqrt()], dim=-1)


class Block(nn.Module):
    """A layer of the decoder: causal gated convolution, then attention of its own (section 3.3, multi-step attention).

    It is no `Layer`: beside x it needs the target's embedding, which each attention's question holds.
    """

    def __init__(self, width: int, shape: Shape, dim: int, dropout: float):
        super().__init__()
        self.width = width
        self.dropout = Dropout(dropout)
        self.convolution = CausalGatedConvolution(width, shape.kernel, shape.dilation, shape.channels)
        self.skip = skip(width, shape.channels)
        self.query = nn.Linear(shape.channels, dim)
        self.attend = UnscaledAttend()
        self.out = nn.Linear(dim, shape.channels)

    def forward(self, x: Tensor, embedded: Tensor, context: Context) -> Tensor:  # b n c, b n d -> b n channels
        return self.look(self.convolution(self.dropout(x), Context()), x, embedded, context)

    def init_cache(self, x: Tensor, context: Context) -> Any:
        return self.convolution.init_cache(x.new_zeros(x.shape[0], 0, self.width), context)

    def step(self, x: Tensor, embedded: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        new, cache = self.convolution.step(x, cache, Context())
        return self.look(new, x, embedded, context), cache

    def look(self, new: Tensor, x: Tensor, embedded: Tensor, context: Context) -> Tensor:
        assert context.memory is not None, "Attention needs a memory in its context."
        keys, values = context.memory.chunk(2, dim=-1)
        questions = (self.query(new) + embedded) * HALF
        found = align(self.attend, questions, (keys, values), context.memory_mask)
        return ((self.out(found) + new) * HALF + self.skip(x)) * HALF


class GatedDecoder(Layer):
    """The decoder's blocks, `b n d -> b n out`."""

    def __init__(self, dim: int, shapes: list[Shape], out_dim: int, dropout: float):
        super().__init__()
        self.enter = nn.Linear(dim, shapes[0].channels)
        widths = [shapes[0].channels, *(shape.channels for shape in shapes)]
        self.blocks = nn.ModuleList(
            Block(width, shape, dim, dropout) for width, shape in zip(widths, shapes, strict=False)
        )
        self.leave = nn.Linear(widths[-1], out_dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        embedded, x = x, self.enter(x)
        for block in self.blocks:
            x = block(x, embedded, context)
        return self.dropout(self.leave(x))

    def init_cache(self, x: Tensor, context: Context) -> tuple[Any, ...]:
        return tuple(block.init_cache(x, context) for block in self.blocks)  # type: ignore[operator]

    def step(self, x: Tensor, cache: tuple[Any, ...], context: Context) -> tuple[Tensor, tuple[Any, ...]]:
        embedded, x, caches = x, self.enter(x), []
        for block, past in zip(self.blocks, cache, strict=True):
            x, past = block.step(x, embedded, past, context)  # type: ignore[operator]
            caches.append(past)
        return self.leave(x), tuple(caches)


def conv(c: ConvConfig) -> EncoderDecoder:
    """The convolutional translator."""
    encoder_shapes, decoder_shapes = (layers(order) for order in orders(c))
    encoder = Memory(GatedEncoder(c.dim, encoder_shapes, c.dropout), len(decoder_shapes))
    decoder = GatedDecoder(c.dim, decoder_shapes, c.out_dim or c.dim, c.dropout)
    source, target, head = ends(c, c.out_dim)
    model = EncoderDecoder(source, encoder, target, decoder, head)
    init(model, c.dropout)
    return model


def tagger(c: ConvConfig) -> Tagger:
    """The encoder alone, with an answer at each place."""
    source, _, head = ends(c)
    model = Tagger(source, GatedEncoder(c.dim, layers(orders(c)[0]), c.dropout), head)
    init(model, c.dropout)
    return model


def init(model: nn.Module, dropout: float) -> None:
    """Section 3.5: so that a layer keeps its input's variance, N(0, p/n) for n inputs kept with probability p, and four
    times the variance before a gate, which halves what passes; embeddings N(0, 0.1^2); biases zero. Then each map is
    split into length and direction (weight normalisation; not the softmax, which may be tied to a table).
    """
    for name, parameter in model.named_parameters():
        if name.endswith(("table.weight", "head.weight", "positions.table")):
            nn.init.normal_(parameter, std=0.1)
    for module in list(model.modules()):
        if isinstance(module, nn.Linear | nn.Conv1d):
            gain, inputs = (4, module.weight[0].numel()) if isinstance(module, nn.Conv1d) else (1, module.in_features)
            nn.init.normal_(module.weight, std=(gain * (1 - dropout) / inputs) ** 0.5)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            weight_norm(module)
