"""Improving Language Understanding by Generative Pre-Training. Radford et al. 2018, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

ids -> embedding + position -> (causal self, feed-forward) x N -> logits of the token after each.
With other letters in its order the same page is a rival's language model: LSTM, convolution, dilated convolution.
"""

import math
from itertools import cycle
from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.attention import CausalAttend
from allyouneed.nn.convolution import CausalGatedConvolution
from allyouneed.nn.frames import LanguageModel
from allyouneed.nn.layer import Layer
from allyouneed.nn.local import LocalSelfAttention, WindowAttend
from allyouneed.nn.recurrent import LSTM
from allyouneed.nn.stack import Stack, sandwich
from allyouneed.nn.sublayers import WRAPS, SublayerConfig, check_order, ended, init_sublayers, sublayers
from allyouneed.nn.translator import ends
from allyouneed.nn.wrap import layer_norm


class GPTConfig(SublayerConfig):
    """The numbers of a language model. The defaults are the preset `small`, which is safe on small data."""

    depth: int = Field(4, ge=1, description="Layers, N, where no order is given.")
    order: str | None = Field(
        None,
        min_length=1,
        description="Order string; none: 'sf' * depth. s is causal attention, w the same in a window, l LSTM, "
        "v causal convolution, d the same dilated, f feed-forward, n norm.",
    )
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = Field("gelu", description="Feed-forward activation.")
    dropout: float = Field(0.1, ge=0, lt=1, description="On embeddings and on each sublayer's output.")
    window: int = Field(128, ge=0, description="Positions that a w layer looks back, besides the one it stands at.")
    kernel: int = Field(3, ge=1, description="Positions that the kernel of a v or d layer covers.")
    dilations: int = Field(8, ge=1, description="Dilations of d layers in turn: 1, 2, 4 ..., this many, and anew.")

    @model_validator(mode="after")
    def _order_fits(self) -> "GPTConfig":
        check_order("order", self.order, "swlvdfn")
        return self


# The published models' wiring: 2018 with the norm after each sublayer, GPT-2 with it before.
_PUBLISHED = dict(
    dim=768, heads=12, ffn_dim=3072, depth=12, activation="gelu_tanh", positions="learned", scale_embedding=False,
    dropout=0.1, attention_dropout=0.1,
)  # fmt: skip

PRESETS = {
    "small": GPTConfig(),
    "tiny": GPTConfig(dim=128, heads=4, ffn_dim=512, depth=2),
    "windowed": GPTConfig(order="wf" * 4),
    "sandwich": GPTConfig(order=sandwich(4, 1)),
    "lstm": GPTConfig(order="l" * 6, positions="none"),
    "convolution": GPTConfig(order="v" * 8, kernel=5, positions="none"),
    "dilated": GPTConfig(order="d" * 8, positions="none"),
    "gpt": GPTConfig(norm="post", vocab_size=40478, positions_length=512, **_PUBLISHED),
    "gpt2": GPTConfig(norm="pre", vocab_size=50257, positions_length=1024, **_PUBLISHED),
}


def orders(c: GPTConfig) -> tuple[str]:
    """The order string; a pre-norm stack ends with a norm, n."""
    return (ended(c, c.order or "sf" * c.depth),)


def gpt(c: GPTConfig) -> LanguageModel:
    """A language model of whatever the order spells."""

    def wrap(layer: Layer) -> Layer:
        return WRAPS[c.norm](layer, c.dim, c.dropout, layer_norm(c.dim, c.eps))

    dilations = cycle(2**i for i in range(c.dilations))
    decoder = Stack(
        orders(c)[0],
        w=lambda: wrap(LocalSelfAttention(c.dim, c.heads, WindowAttend(c.window, 0, c.attention_dropout), c.bias)),
        l=lambda: wrap(LSTM(c.dim)),
        v=lambda: wrap(CausalGatedConvolution(c.dim, c.kernel)),
        d=lambda: wrap(CausalGatedConvolution(c.dim, c.kernel, next(dilations))),
        **sublayers(c, CausalAttend),
    )
    _, target, head = ends(c)
    model = LanguageModel(target, decoder, head)
    init(model, c)
    return model


def init(model: nn.Module, c: GPTConfig) -> None:
    """Radford et al. draw all from N(0, 0.02^2), which suits width 768; here the draws follow the width, as Glorot's do.

    Convolutions as in ConvS2S (Gehring et al. 2017, section 3.5): the gate halves the variance, so it starts at 4 / fan-in.
    Recurrences as torch draws them, U(-1/sqrt(d), 1/sqrt(d)).
    """
    init_sublayers(model, c.dim)
    for module in model.modules():
        if isinstance(module, nn.Conv1d):
            nn.init.normal_(module.weight, std=math.sqrt(4 / (module.kernel_size[0] * module.in_channels)))
        elif isinstance(module, nn.LSTMCell):
            for matrix in (module.weight_ih, module.weight_hh):
                nn.init.uniform_(matrix, -(c.dim**-0.5), c.dim**-0.5)
