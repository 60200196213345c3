"""The frames of image classifiers, on tokens and on maps, and the ways to make one vector of many."""

from torch import Tensor, nn

from allyouneed.nn.dropout import Dropout
from allyouneed.nn.layer import Context, Layer


class ImageClassifier(nn.Module):
    """image -> tokens -> encoder -> one vector -> logits of the classes."""

    def __init__(self, source: nn.Module, encoder: Layer, pool: nn.Module, head: nn.Linear):
        super().__init__()
        self.source = source
        self.encoder = encoder
        self.pool = pool
        self.head = head

    def hidden(self, images: Tensor) -> Tensor:  # b c y x -> b n d
        """The tokens after the last layer."""
        return self.encoder(self.source(images), Context())

    def forward(self, images: Tensor) -> Tensor:  # b c y x -> b classes
        return self.head(self.pool(self.hidden(images)))


class MapClassifier(nn.Module):
    """image -> trunk -> mean over the map -> dropout -> logits."""

    def __init__(self, trunk: nn.Module, dim: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.trunk = trunk
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(dim, classes)

    def forward(self, images: Tensor) -> Tensor:  # b c y x -> b classes
        return self.head(self.dropout(self.trunk(images).mean((2, 3))))


class FirstToken(nn.Module):
    """The class token, which stands first."""

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b d
        return x[:, 0]


class MeanToken(nn.Module):
    """The mean of all tokens."""

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b d
        return x.mean(1)


def zero_head(dim: int, classes: int) -> nn.Linear:
    """A head that begins with the same probability for every class, as in the official code of ViT, Mixer and SPACH."""
    head = nn.Linear(dim, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
