"""The catalogue: one line per system. From the day a system stands here, the whole battery of laws runs on it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from allyouneed.models import transformer
from allyouneed.settings import Settings


class System(NamedTuple):
    """What the rest of the house needs to know of a model."""

    build: Callable[[Any], nn.Module]
    config: type[Settings]
    tiny: Settings  # small enough for the battery of laws
    presets: Mapping[str, Settings]  # the first is the default
    orders: Callable[[Any], tuple[str, ...]]  # order strings of a config: encoder's, decoder's
    task: str  # what `allyouneed train TASK` it serves
    paper: str
    url: str
    adds: str  # what is new in it, for the table of models
    parity: str  # the references its weights were compared with, within 1e-5


CATALOGUE: dict[str, System] = {
    "transformer": System(
        build=transformer.transformer,
        config=transformer.TransformerConfig,
        tiny=transformer.TransformerConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0),
        presets=transformer.PRESETS,
        orders=transformer.orders,
        task="translation",
        paper="Attention Is All You Need (Vaswani et al. 2017)",
        url="https://arxiv.org/abs/1706.03762",
        adds="attention instead of recurrence",
        parity="torch.nn.Transformer, Hugging Face Marian",
    ),
}
