"""The token MLP: a feed-forward network along the places instead of the channels (Tolstikhin et al. 2021)."""

from torch import Tensor

from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.shown import Mixing


class TokenMLP(Layer):
    """Every channel by itself, through one network that reads all places: `b n d -> b n d`.

    The trap: its weights are of the number of places, so a model that has one knows a single image size.
    """

    def __init__(self, places: int, hidden: int, activation: str = "gelu", dropout: float = 0.0):
        super().__init__()
        self.mlp = FeedForward(places, hidden, activation, dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.mlp(x.transpose(1, 2), context).transpose(1, 2)

    def show(self, x: Tensor, context: Context) -> list[Mixing]:
        """Its two matrices as one. What really happens depends on the input: the activation lies between them."""
        weights = self.mlp.outer.weight @ self.mlp.inner.weight  # n m
        note = (
            "The product of the two matrices of the token MLP, as if the activation between them were not there: "
            "the same for every channel and every input."
        )
        return [Mixing(weights[None, None], None, note, input_independent=True)]
