"""Shuffle-exchange networks: every place reaches every other in 2 log n layers of switches between neighbours.

A switch changes two neighbours; a shuffle then makes neighbours of others. A Beneš block, shuffles one way and then
back, can carry out any permutation and brings the order back. Work is n log n, and the weights do not know n: one
switch unit serves a whole half of a block.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from allyouneed.nn.embedding import TextInput
from allyouneed.nn.frames import Tagger
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.shown import Wired
from allyouneed.settings import Settings


class ExchangeConfig(Settings):
    """Numbers of all shuffle-exchange networks; a page adds its own."""

    vocab_size: int = Field(64, ge=5, description="Size of the vocabulary, the same for questions and answers.")
    dim: int = Field(96, ge=2, description="Width of one place, m; a switch sees two.")
    blocks: int = Field(1, ge=1, description="Beneš blocks, K; the depth is 2 K (log2 n - 1) + 1 switches.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Divided by log2 n, after each switch.")


def padded_length(n: int, least: int = 2) -> int:
    """The power of two that n places need."""
    return 1 << (max(n, least) - 1).bit_length()


def unshuffle(x: Tensor) -> Tensor:  # b n d -> b n d
    """Even places first: 0 2 4 6 1 3 5 7. Place i reads the place whose number is i's bits rotated left."""
    return x.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)


def shuffle(x: Tensor) -> Tensor:  # b n d -> b n d
    """The perfect shuffle of cards, 0 4 1 5 2 6 3 7: `unshuffle` undone; the bits rotate right."""
    return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


def pairs(x: Tensor) -> Tensor:  # b n d -> b n/2 2d
    return x.unflatten(1, (-1, 2)).flatten(2)


def singles(x: Tensor) -> Tensor:  # b n/2 2d -> b n d
    return x.unflatten(2, (2, -1)).flatten(1, 2)


class SwitchUnit(nn.Module):
    """A GRU for two (Freivalds et al. 2019, section 3.1): it may swap its neighbours, keep them or compute something new.

    The trap: the first halves of the channels are exchanged, as in the code; the figure exchanges the second. Biases of
    the gates begin at 0.5, which the code adds as a constant, so its files hold less.
    """

    def __init__(self, dim: int, linked: bool = False, dropout: float = 0.0, noise: float = 0.0):
        super().__init__()
        self.gates = nn.Linear(2 * dim, 6 * dim)  # both resets and the update
        self.first = nn.Linear(2 * dim, dim)
        self.second = nn.Linear(2 * dim, dim)
        self.link = nn.Parameter(torch.full((dim,), 0.5)) if linked else None
        self.dropout = dropout
        self.noise = noise

    def forward(self, x: Tensor, earlier: Tensor | None, bits: int) -> Tensor:  # b n d -> b n d
        """`earlier` is what the same layer of the block before was given; what is computed sees it, what is kept not."""
        linked = self.link is not None and earlier is not None  # two places have no layers to be linked to
        seen = pairs(x + earlier * self.link if linked else x)  # type: ignore[operator]
        reset1, reset2, update = torch.sigmoid(self.gates(seen)).chunk(3, dim=-1)  # b n/2 2d each
        new = torch.tanh(torch.cat([self.first(reset1 * seen), self.second(reset2 * seen)], dim=-1))
        return self.disturbed(singles(update * pairs(swapped(x)) + (1 - update) * new), bits)

    def disturbed(self, x: Tensor, bits: int) -> Tensor:
        """Dropout shared out over the layers; a model without dropout gets a little noise instead."""
        if self.dropout or not (self.noise and self.training):
            return F.dropout(x, self.dropout / bits, self.training)
        return x * (1 + self.noise * torch.randn_like(x))


def swapped(x: Tensor) -> Tensor:  # b n d -> b n d
    """Neighbours exchange the first halves of their channels."""
    half = x.shape[-1] // 2
    neighbours = x[..., :half].unflatten(1, (-1, 2)).flip(2).flatten(1, 2)
    return torch.cat([neighbours, x[..., half:]], dim=-1)


class LengthNorm(nn.Module):
    """Each channel of each text normalised over the text's places, with an offset that counts as variance.

    This is what the published code computes under the name of LayerNorm. The trap: all places see one another through
    it, and the padding too, so answers depend on how far a text is padded.
    """

    def __init__(self, width: int):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x = x - (x.mean(dim=1, keepdim=True) - self.offset)
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-10)


class ResidualSwitchUnit(nn.Module):
    """Draguns et al. 2021, section 3: o = sigmoid(2 S) * i + h (W gelu(norm(Z i)) + B) for a pair i.

    At first sigmoid(2 S) is `kept` (0.9) and h is sqrt(1 - kept^2) / 4, so that the signal keeps its size at any depth.
    GELU is the approximation by a sigmoid, x sigmoid(1.702 x).
    """

    def __init__(self, dim: int, norm: Callable[[int], nn.Module], kept: float = 0.9, dropout: float = 0.0):
        super().__init__()
        self.inner = nn.Linear(2 * dim, 4 * dim, bias=False)
        self.norm = norm(4 * dim)
        self.outer = nn.Linear(4 * dim, 2 * dim)
        self.residual = nn.Parameter(torch.full((2 * dim,), kept).logit() / 2)
        self.scale = 0.25 * (1 - kept**2) ** 0.5
        self.dropout = dropout

    def forward(self, x: Tensor, earlier: Tensor | None, bits: int) -> Tensor:  # b n d -> b n d
        """It needs no link to an `earlier` block: its own residual connection reaches through all of them."""
        x = pairs(x)
        inner = self.norm(self.inner(x))  # b n/2 4d
        new = self.outer(inner * torch.sigmoid(1.702 * inner))  # F.silu takes six times as long on a CPU
        out = torch.sigmoid(2 * self.residual) * x + self.scale * new
        return singles(F.dropout(out, self.dropout / bits, self.training))


class BenesBlock(nn.Module):
    """log2 n - 1 switches with an unshuffle after each, then as many with a shuffle; each half shares one unit."""

    def __init__(self, forth: nn.Module, back: nn.Module):
        super().__init__()
        self.forth = forth
        self.back = back

    def forward(self, x: Tensor, earlier: list[Tensor] | None, bits: int) -> tuple[Tensor, list[Tensor]]:
        """The block's output and what each of its layers was given."""
        given: list[Tensor] = []
        for unit, wiring in ((self.forth, unshuffle), (self.back, shuffle)):
            for _ in range(bits - 1):
                link = earlier[len(given)] if earlier else None
                given.append(x)
                x = wiring(unit(x, link, bits))
        return x, given


class ShuffleExchange(Layer):
    """Beneš blocks and a last switch, `b n d -> b n d` for any n: other lengths than powers of two are filled with zeros.

    It is not causal, and no mask is looked at: padding is a text like any other.
    """

    def __init__(self, blocks: int, unit: Callable[[bool], nn.Module]):
        """`unit(linked)` makes a switch; those after the first block may link to the block before."""
        super().__init__()
        self.blocks = nn.ModuleList(BenesBlock(unit(i > 0), unit(i > 0)) for i in range(blocks))
        self.last = unit(blocks > 1)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        n, length = x.shape[1], padded_length(x.shape[1])
        bits = length.bit_length() - 1
        x = F.pad(x, (0, 0, 0, length - n))
        given: list[Tensor] | None = None
        for block in self.blocks:
            x, given = block(x, given, bits)
        return self.last(x, given[0] if given else None, bits)[:, :n]

    def show(self, x: Tensor, context: Context) -> list[Wired]:
        """What follows each switch but the last: places filled up to a power of two, moved by their number's bits."""
        length = padded_length(x.shape[1])
        places = torch.arange(length)
        block = []
        for wiring in (unshuffle, shuffle):
            read = wiring(places[None, :, None])[0, :, 0]  # the place that each place reads
            block += [torch.empty_like(read).scatter_(0, read, places)] * (length.bit_length() - 2)
        return [Wired(block * len(self.blocks))]


class ExchangeTagger(Tagger):
    """A tagger that fills its texts with padding to a power of two: padding tokens have a vector as all others have.

    The least is 8, as in the published codes: over two or four places a `LengthNorm` leaves next to nothing.
    """

    def hidden(self, ids: Tensor) -> Tensor:  # b n -> b n d
        n = ids.shape[1]
        whole = F.pad(ids, (0, padded_length(n, least=8) - n), value=self.pad)
        return self.encoder(self.source(whole), Context())[:, :n]


def exchange_tagger(c: ExchangeConfig, source: TextInput, unit: Callable[[bool], nn.Module]) -> Tagger:
    """An answer at each place, by a softmax of its own with biases."""
    head = VocabularyHead(nn.Parameter(torch.empty(c.vocab_size, c.dim)), bias=True)
    return ExchangeTagger(source, ShuffleExchange(c.blocks, unit), head)


def init_switches(model: nn.Module) -> None:
    """Every matrix by Glorot's rule, which both papers' codes use; fused ones as the matrices they are. Biases zero."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            parts = parameter.detach().split(parameter.shape[1]) if ".gates." in name else (parameter,)
            for matrix in parts:
                nn.init.xavier_uniform_(matrix)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
