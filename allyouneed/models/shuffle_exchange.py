"""Neural Shuffle-Exchange Networks - Sequence Processing in O(n log n) Time. Freivalds et al. 2019, https://arxiv.org/abs/1907.07897

ids, filled to a power of two -> tanh(30 embedding) -> ((switch, unshuffle) x (log n - 1),
(switch, shuffle) x (log n - 1)) x K -> switch -> logits of an answer at each place. A switch is a gated unit for two.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.frames import Tagger
from allyouneed.nn.positions import NoPositions
from allyouneed.nn.shuffle import ExchangeConfig, SwitchUnit, exchange_tagger, init_switches


class ShuffleExchangeConfig(ExchangeConfig):
    """The paper has one block for all algorithms."""

    noise: float = Field(0.001, ge=0, description="Deviation of factors around 1 that stand in where dropout is 0.")


PRESETS = {
    "small": ShuffleExchangeConfig(),
    "tiny": ShuffleExchangeConfig(dim=48),
    "paper-addition": ShuffleExchangeConfig(dim=192),  # and sorting, duplication, reversal (without dropout)
    "paper-multiplication": ShuffleExchangeConfig(dim=384),
}


class SquashedEmbedding(TokenEmbedding):
    """tanh(30 E): what enters the gates has the range of what comes out of them."""

    def forward(self, ids: Tensor) -> Tensor:  # b n -> b n d
        return torch.tanh(super().forward(ids))


def orders(c: ShuffleExchangeConfig) -> tuple[str]:
    """Its layers are wired by the length, so it has no order of letters: x is the whole network, a mixer among others."""
    return ("x",)


def tagger(c: ShuffleExchangeConfig) -> Tagger:
    """The network of the algorithmic tasks."""
    source = TextInput(SquashedEmbedding(c.vocab_size, c.dim, scale=30.0), NoPositions())
    model = exchange_tagger(c, source, lambda linked: SwitchUnit(c.dim, linked, c.dropout, c.noise))
    init(model)
    return model


def init(model: nn.Module) -> None:
    """The code's: Glorot for matrices, U(-.01, .01) for the table, gates half open by their biases of .5."""
    init_switches(model)
    for name, parameter in model.named_parameters():
        if name.endswith("table.weight"):
            nn.init.uniform_(parameter, -0.01, 0.01)
        elif name.endswith("gates.bias"):
            nn.init.constant_(parameter, 0.5)
