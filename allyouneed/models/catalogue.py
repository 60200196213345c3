"""The catalogue: one line per system. From the day a system stands here, the whole battery of laws runs on it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from allyouneed.models import transformer
from allyouneed.settings import Settings


class System(NamedTuple):
    """What the rest of the house needs to know of a model.

    `builds` holds a builder for each task that the system serves, `allyouneed train TASK`; its main task comes first.
    What a model of a task offers is said by its frame (`nn/frames.py`) or, where there is none, by the task itself.
    """

    builds: Mapping[str, Callable[[Any], nn.Module]]
    config: type[Settings]
    tiny: Settings  # small enough for the battery of laws
    presets: Mapping[str, Settings]  # the first is the default
    orders: Callable[[Any], tuple[str, ...]]  # order strings of a config: encoder's, decoder's
    paper: str
    url: str
    adds: str  # what is new in it, for the table of models
    parity: str  # the references its weights were compared with, within 1e-5

    @property
    def task(self) -> str:
        """The main task."""
        return next(iter(self.builds))

    def build(self, config: Any) -> nn.Module:
        """The model for the main task."""
        return self.builds[self.task](config)


CATALOGUE: dict[str, System] = {
    "transformer": System(
        builds={"translation": transformer.transformer},
        config=transformer.TransformerConfig,
        tiny=transformer.TransformerConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0),
        presets=transformer.PRESETS,
        orders=transformer.orders,
        paper="Attention Is All You Need (Vaswani et al. 2017)",
        url="https://arxiv.org/abs/1706.03762",
        adds="attention instead of recurrence",
        parity="torch.nn.Transformer, Hugging Face Marian",
    ),
}
