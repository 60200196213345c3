"""Neural Machine Translation by Jointly Learning to Align and Translate. Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473

With the other attention of Effective Approaches to Attention-based Neural Machine Translation, Luong et al. 2015,
https://arxiv.org/abs/1508.04025, which looks after the recurrence has gone on, and not before.

source ids -> embedding -> (to the right, to the left) x N -> memory; its end -> the decoder's first state;
Bahdanau: target ids -> embedding -> (look with the state before, recurrence), deep output -> logits;
Luong: target ids -> embedding -> recurrence x N -> look with the state after, tanh -> logits.
"""

from itertools import chain, repeat
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from allyouneed.nn.alignment import AdditiveAttend, UnscaledAttend, align
from allyouneed.nn.frames import EncoderDecoder, Tagger
from allyouneed.nn.layer import Context, Layer, PerSentence, Pointwise
from allyouneed.nn.recurrent import Bidirectional, Cell, GRUCell, LSTMCell, Recurrence, along, init_cells
from allyouneed.nn.stack import Stack
from allyouneed.nn.sublayers import check_order
from allyouneed.nn.translator import TranslatorConfig, ends
from allyouneed.nn.wrap import Dropped

CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell}


class RNNConfig(TranslatorConfig):
    """The numbers of a recurrent translator. The defaults, the preset `small`, are Luong's, which train fast."""

    positions: Literal["interleaved", "halves", "tensor2tensor", "learned", "none"] = Field(
        "none", description="None: a recurrence knows the order by itself. Or as for the Transformer."
    )
    cell: Literal["lstm", "gru"] = Field("lstm", description="LSTM (Luong) or GRU (Bahdanau).")
    attention: Literal["additive", "dot", "general"] = Field(
        "general", description="Bahdanau's (additive, inside the recurrence) or Luong's after it: dot or general score."
    )
    hidden_dim: int = Field(440, ge=1, description="Width of the decoder's state.")
    encoder_dim: int | None = Field(None, ge=1, description="Width of the memory, both directions; none: hidden_dim.")
    out_dim: int | None = Field(
        None, ge=1, description="Width that the softmax reads; none: dim. Others need tie=none."
    )
    depth: int = Field(2, ge=1, description="Recurrent layers on each side.")
    order: str | None = Field(None, description="Encoder's letters: b both ways, r to the right; none: 'b' * depth.")

    @property
    def memory_dim(self) -> int:
        return self.encoder_dim or self.hidden_dim

    @model_validator(mode="after")
    def _fits(self) -> "RNNConfig":
        check_order("order", self.order, "br")
        if "b" in (self.order or "b") and self.memory_dim % 2:
            raise ValueError(f"the memory's width {self.memory_dim} is odd, and two directions share it")
        if self.attention == "dot" and self.memory_dim != self.hidden_dim:
            raise ValueError(
                f"attention 'dot' needs an encoder_dim ({self.memory_dim}) equal to hidden_dim ({self.hidden_dim})"
            )
        if self.tie != "none" and self.out_dim not in (None, self.dim):
            raise ValueError(f"out_dim {self.out_dim} is not dim {self.dim}, so nothing can be tied; use tie 'none'")
        return self


PRESETS = {
    "small": RNNConfig(),
    "additive": RNNConfig(cell="gru", attention="additive"),  # of the same size; slower a step, and learns more from it
    # RNNsearch (section A.2.3) and the base of Luong et al. (section 4.1), without its input feeding.
    "bahdanau": RNNConfig(
        cell="gru", attention="additive", dim=620, hidden_dim=1000, encoder_dim=2000, out_dim=500, depth=1,
        vocab_size=30000, tie="none", scale_embedding=False, dropout=0.0,
    ),
    "luong": RNNConfig(
        cell="lstm", attention="general", dim=1000, hidden_dim=1000, depth=4, order="rrrr", vocab_size=50000,
        tie="none", scale_embedding=False, dropout=0.2,
    ),
}  # fmt: skip


def orders(c: RNNConfig) -> tuple[str, str]:
    """Encoder's letters, b both ways or r to the right; decoder's, r and then a (Luong) or t (Bahdanau)."""
    decoder = "r" * (c.depth - 1) + "t" if c.attention == "additive" else "r" * c.depth + "a"
    return c.order or "b" * c.depth, decoder


class Start(nn.Module):
    """The decoder's first state, tanh(W h) (Bahdanau, section A.2.2), h being where the encoder has read everything.

    With both directions h is the leftward half at the first token. Luong et al. hand the state of each layer to the
    decoder's layer of the same height; here each has a W of its own, so that the two sides need not match.
    """

    def __init__(self, cell: Cell, memory_dim: int, last: str):
        super().__init__()
        self.cell_state, self.both_ways = cell.State, last == "b"
        width = memory_dim // 2 if self.both_ways else memory_dim
        self.out = nn.Linear(width, len(cell.State._fields) * cell.hidden_size)

    def forward(self, context: Context) -> Any:
        memory, mask = context.memory, context.memory_mask
        assert memory is not None and mask is not None, "The first state needs a memory in its context."
        if self.both_ways:
            end = memory[:, 0, memory.shape[-1] // 2 :]
        else:
            last = (mask.sum(-1) - 1).clamp(min=0)  # b 1 1
            end = memory.gather(1, last.expand(-1, -1, memory.shape[-1]))[:, 0]
        states = self.out(end).tanh().to(self.out.weight.dtype)  # see `Recurrence.init_cache`
        return self.cell_state(*states.chunk(len(self.cell_state._fields), dim=-1))


class FromSource(Recurrence):
    """A recurrence that begins where the encoder has ended."""

    def __init__(self, cell: Cell, start: Start):
        super().__init__(cell)
        self.start = start

    def init_cache(self, x: Tensor, context: Context) -> Any:
        return self.start(context)


class Luong(Pointwise):
    """tanh(W [c; h]): what the state h finds, c, joins it (Luong et al., equation 5). h is the state after the word.

    No state waits for what was found, so the recurrence runs over the whole text at once and all places look together.
    `query` is W of the general score h^T W m, put on h's side so that the memory m is the keys; of the dot score nothing.
    """

    def __init__(self, hidden_dim: int, memory_dim: int, out_dim: int, query: nn.Module):
        super().__init__()
        self.query = query
        self.attend = UnscaledAttend()
        self.out = nn.Linear(memory_dim + hidden_dim, out_dim, bias=False)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # r n hidden -> r n out
        assert context.memory is not None, "Attention needs a memory in its context."
        found = align(self.attend, self.query(x), (context.memory, context.memory), context.memory_mask)
        return self.out(torch.cat([found, x], dim=-1)).tanh()


class SearchCache(NamedTuple):
    """What Bahdanau's decoder keeps."""

    state: Any
    keys: PerSentence  # b m k


class Source(NamedTuple):
    """What Bahdanau's decoder asks, and how the answer enters its gates."""

    keys: Tensor  # b m k
    memory: Tensor  # b m d
    mask: Tensor  # b 1 m
    gates: Tensor  # g d


class Search(Layer):
    """Bahdanau's decoder: the state s before the word looks, finds c, and goes on with both, s' = f(s, [y; c]).

    Its output is a maxout over pairs of W [s; y; c], with the state before (section A.2.2). The loop is what makes it
    slow, so all that does not hang on the state is done before or after it, for all places at once.
    """

    def __init__(self, dim: int, memory_dim: int, out_dim: int, cell: Cell, start: Start):
        super().__init__()
        self.dim, self.cell, self.start = dim, cell, start
        self.keys = nn.Linear(memory_dim, cell.hidden_size, bias=False)
        self.attend = AdditiveAttend(cell.hidden_size, cell.hidden_size)
        self.out = nn.Linear(cell.hidden_size + dim + memory_dim, 2 * out_dim)

    def read(self, keys: Tensor, context: Context) -> Source:
        """The source, ready for the loop: what autocast would narrow anew at each position is narrowed here."""
        memory, mask = context.memory, context.memory_mask
        assert memory is not None and mask is not None, "Attention needs a memory in its context."
        return Source(keys, memory.to(keys.dtype), mask[:, 0], self.cell.weight_ih[:, self.dim :].to(keys.dtype))

    def below(self, x: Tensor) -> Tensor:
        """What the words say to the gates."""
        return F.linear(x, self.cell.weight_ih[:, : self.dim], self.cell.bias_ih)

    def go_on(self, state: Any, below: Tensor, source: Source) -> tuple[Any, Tensor]:
        """The next state, and what this one has found, r m."""
        queries = state.hidden.unflatten(0, (source.keys.shape[0], -1))  # (b hypotheses) q -> b hypotheses q
        found = self.attend.look(queries, source.keys, source.memory, source.mask).flatten(0, 1)
        return self.cell.advance(below + F.linear(found, source.gates), state), found

    def write(self, hidden: Tensor, x: Tensor, found: Tensor, source: Source) -> Tensor:
        """The output, r n out, of states r n q, words r n d and what they have found, r n m."""
        q, seen = (
            t.reshape(source.keys.shape[0], 1, -1, t.shape[-1]) for t in (hidden, found)
        )  # b 1 (hypotheses n) ..
        keys, memory, mask = (t[:, None] for t in (source.keys, source.memory, source.mask))
        found = self.attend(q, keys, memory, mask, found=seen).reshape(found.shape)
        pairs = self.out(torch.cat([hidden, x, found], dim=-1)).unflatten(-1, (-1, 2))  # r n out 2
        return pairs.amax(-1)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n out
        source = self.read(self.keys(context.memory), context)

        def advance(state: Any, below: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
            after, found = self.go_on(state, below, source)
            return after, (state.hidden, found)

        hidden, found = along(advance, self.start(context), self.below(x))
        return self.write(hidden, x, found, source)

    def init_cache(self, x: Tensor, context: Context) -> SearchCache:
        return SearchCache(self.start(context), PerSentence((self.keys(context.memory),)))

    def step(self, x: Tensor, cache: SearchCache, context: Context) -> tuple[Tensor, SearchCache]:
        source = self.read(cache.keys.tensors[0], context)
        state, found = self.go_on(cache.state, self.below(x[:, 0]), source)
        x = self.write(cache.state.hidden[:, None], x, found[:, None], source)
        return x, SearchCache(state, cache.keys)


class Projection(Pointwise):
    """A linear map from one width to another."""

    def __init__(self, width: int, dim: int):
        super().__init__()
        self.out = nn.Linear(width, dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n width -> b n dim
        return self.out(x)


def encoder(c: RNNConfig, order: str) -> Stack:
    """The memory's layers; the first reads embeddings, the others what lies below. p projects to the words' width."""
    cell, width = CELLS[c.cell], chain((c.dim,), repeat(c.memory_dim))
    return Stack(
        order,
        p=lambda: Projection(c.memory_dim, c.dim),
        b=lambda: Dropped(Bidirectional(cell, next(width), c.memory_dim), c.dropout),
        r=lambda: Dropped(Recurrence(cell(next(width), c.memory_dim)), c.dropout),
    )


def decoder(c: RNNConfig) -> Stack:
    cell, width, out = CELLS[c.cell], chain((c.dim,), repeat(c.hidden_dim)), c.out_dim or c.dim
    last = orders(c)[0][-1]

    def recurrence() -> Layer:
        inner = cell(next(width), c.hidden_dim)
        return Dropped(FromSource(inner, Start(inner, c.memory_dim, last)), c.dropout)

    def search() -> Layer:
        dim = next(width)
        inner = cell(dim + c.memory_dim, c.hidden_dim)
        return Dropped(Search(dim, c.memory_dim, out, inner, Start(inner, c.memory_dim, last)), c.dropout)

    def luong() -> Layer:
        linear = nn.Linear(c.hidden_dim, c.memory_dim, bias=False)
        query = linear if c.attention == "general" else nn.Identity()
        return Dropped(Luong(c.hidden_dim, c.memory_dim, out, query), c.dropout)

    return Stack(orders(c)[1], r=recurrence, t=search, a=luong)


def rnn(c: RNNConfig) -> EncoderDecoder:
    """The recurrent translator with either attention."""
    source, target, head = ends(c, c.out_dim)
    model = EncoderDecoder(source, encoder(c, orders(c)[0]), target, decoder(c), head)
    init(model)
    return model


def tagger(c: RNNConfig) -> Tagger:
    """The encoder alone, with an answer at each place."""
    source, _, head = ends(c)
    model = Tagger(source, encoder(c, orders(c)[0] + "p"), head)
    init(model)
    return model


def init(model: nn.Module) -> None:
    """Recurrent matrices orthogonal, gate by gate (Bahdanau, section B.1); its others are so small, N(0, 0.01^2), that
    they need Adadelta, so they are Glorot's here. Tables are from N(0, 1/d); biases as the cells have them, else zero.
    """
    for name, parameter in model.named_parameters():
        if name.endswith(("table.weight", "head.weight", "positions.table")):
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        elif ".cell." not in name:
            nn.init.xavier_uniform_(parameter) if parameter.dim() == 2 else nn.init.zeros_(parameter)
    init_cells(model)
