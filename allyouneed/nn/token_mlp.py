"""The token MLP: a feed-forward network along the places instead of the channels (Tolstikhin et al. 2021)."""

from torch import Tensor

from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Context, Layer


class TokenMLP(Layer):
    """Every channel by itself, through one network that reads all places: `b n d -> b n d`.

    The trap: its weights are of the number of places, so a model that has one knows a single image size.
    """

    def __init__(self, places: int, hidden: int, activation: str = "gelu", dropout: float = 0.0):
        super().__init__()
        self.mlp = FeedForward(places, hidden, activation, dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.mlp(x.transpose(1, 2), context).transpose(1, 2)
