"""Residual Shuffle-Exchange Networks for Fast Processing of Long Sequences. Draguns et al. 2021, https://arxiv.org/abs/2004.04662

ids, filled to a power of two -> embedding -> ((switch, unshuffle) x (log n - 1),
(switch, shuffle) x (log n - 1)) x K -> switch -> logits of an answer at each place. A switch is a feed-forward network
for two neighbours in a residual connection.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.frames import Tagger
from allyouneed.nn.positions import NoPositions
from allyouneed.nn.shuffle import ExchangeConfig, LengthNorm, ResidualSwitchUnit, exchange_tagger, init_switches

NORMS = {"length": LengthNorm, "layer": nn.LayerNorm}


class ResidualShuffleExchangeConfig(ExchangeConfig):
    """The paper has two blocks, one for sorting. Its words and its code have different norms; the words' learns sooner
    here and goes further beyond the lengths of training."""

    norm: Literal["layer", "length"] = Field(
        "layer", description="In each switch: over channels (the paper) or over the places of a text (its code)."
    )
    kept: float = Field(0.9, gt=0, lt=1, description="How much of its input a switch passes on at first.")


PRESETS = {
    "small": ResidualShuffleExchangeConfig(),
    "tiny": ResidualShuffleExchangeConfig(dim=48),
    # As the published code computes them.
    "paper-sorting": ResidualShuffleExchangeConfig(dim=192, norm="length"),
    "paper-addition": ResidualShuffleExchangeConfig(dim=192, blocks=2, norm="length"),  # and duplication, reversal
    "paper-multiplication": ResidualShuffleExchangeConfig(dim=384, blocks=2, norm="length"),
}


def orders(c: ResidualShuffleExchangeConfig) -> tuple[str]:
    """Its layers are wired by the length, so it has no order of letters: x is the whole network, a mixer among others."""
    return ("x",)


def tagger(c: ResidualShuffleExchangeConfig) -> Tagger:
    """The network of the algorithmic tasks."""
    source = TextInput(TokenEmbedding(c.vocab_size, c.dim, scale=1.0), NoPositions())
    model = exchange_tagger(c, source, lambda _: ResidualSwitchUnit(c.dim, NORMS[c.norm], c.kept, c.dropout))
    init(model)
    return model


def init(model: nn.Module) -> None:
    """The code's: Glorot for matrices, a truncated normal for the table, and small biases above zero after each switch's
    second matrix, without which a normalisation over equal tokens has nothing to divide."""
    init_switches(model)
    for name, parameter in model.named_parameters():
        if name.endswith("table.weight"):
            nn.init.trunc_normal_(parameter, std=0.25, a=-0.5, b=0.5)
        elif name.endswith("outer.bias"):
            nn.init.uniform_(parameter, 0.0, 0.01)
