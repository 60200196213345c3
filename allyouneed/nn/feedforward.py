"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3): max(0, x W1 + b1) W2 + b2."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.dropout import Dropout
from allyouneed.nn.layer import Context, Pointwise

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,  # the exact form, with the error function
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,  # what Marian calls swish
}


class FeedForward(Pointwise):
    """Two linear maps with an activation between; `dropout` after it is tensor2tensor's, not the paper's."""

    def __init__(self, dim: int, ffn_dim: int, activation: str = "relu", dropout: float = 0.0):
        super().__init__()
        self.inner = nn.Linear(dim, ffn_dim)
        self.outer = nn.Linear(ffn_dim, dim)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        return self.outer(self.dropout(self.activation(self.inner(x))))
