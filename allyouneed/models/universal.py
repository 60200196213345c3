"""Universal Transformers. Dehghani et al. 2019, https://arxiv.org/abs/1807.03819

source ids -> embedding -> (+ position + step, self, feed-forward) x T, one set of weights -> memory;
target ids -> embedding -> (+ position + step, causal self, cross, feed-forward) x T -> logits.
With halting, each position has its own T. For algorithms the first line alone, with an answer at each place.
"""

from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator
from torch import Tensor, nn

from allyouneed.nn.attention import Attend, CausalAttend
from allyouneed.nn.frames import EncoderDecoder, Tagger
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask
from allyouneed.nn.pondering import AdaptiveDepth, Coordinates, FixedDepth, Halting, InDepth
from allyouneed.nn.positions import LAYOUTS, LearnedPositions, NoPositions, SinusoidalPositions
from allyouneed.nn.stack import Stack
from allyouneed.nn.sublayers import SublayerConfig, check_order, init_sublayers, sublayers
from allyouneed.nn.translator import Ends, ends, positions

M = TypeVar("M", bound=nn.Module)


class UniversalConfig(SublayerConfig):
    """`positions` are added at every step, not to the embeddings alone."""

    steps: int = Field(6, ge=1, description="Times that the block is applied, T; with halting, the most.")
    order: str = Field("sf", min_length=1, description="What one step of the encoder does, letters s, f, n.")
    decoder_order: str = Field("scf", min_length=1, description="What one step of the decoder does: s, c, f, n.")
    step_codes: Literal["sinusoids", "learned", "none"] = Field(
        "sinusoids", description="How a step knows its number: sinusoids (the paper), learned (its code), none."
    )
    random_start: int = Field(0, ge=0, description="In training, positions begin anywhere below this.")
    halting: Literal["none", "basic", "accumulated"] = Field(
        "none",
        description="Steps per position: none (all T), basic (the published update), accumulated (Graves's sum).",
    )
    halting_epsilon: float = Field(0.01, gt=0, lt=1, description="A position halts at 1 minus this.")
    halting_bias: float = Field(1.0, description="First bias of the halting unit; -3 begins with many steps.")
    freeze: bool = Field(False, description="Halted positions stay as they are (the text) or are worked on (the code).")
    ponder_weight: float = Field(0.01, ge=0, description="Weight of the mean ponder cost in the loss.")

    @model_validator(mode="after")
    def _fits(self) -> "UniversalConfig":
        check_order("order", self.order, "sfn")
        check_order("decoder_order", self.decoder_order, "scfn")
        if self.random_start and self.positions == "none":
            raise ValueError(
                f"random_start {self.random_start} needs positions that begin somewhere, and there are none"
            )
        return self


_T2T = dict(bias=False, eps=1e-6, positions="tensor2tensor", step_codes="learned", vocab_size=32768)

PRESETS = {
    "small": UniversalConfig(),
    "tiny": UniversalConfig(dim=128, heads=4, ffn_dim=256, steps=4, dropout=0.1),
    "adaptive": UniversalConfig(halting="basic", steps=8),
    "paper-base": UniversalConfig(
        dim=1024, heads=16, ffn_dim=4096, norm="post", bias=False, eps=1e-6, vocab_size=32768
    ),
    # tensor2tensor's universal_transformer_base: pre-norm, learned codes of the steps, its own layout of sinusoids.
    "t2t-base": UniversalConfig(dim=1024, heads=16, ffn_dim=4096, **_T2T),
    "t2t-adaptive": UniversalConfig(dim=1024, heads=16, ffn_dim=4096, halting="basic", steps=12, **_T2T),
}


def orders(c: UniversalConfig) -> tuple[str, str]:
    """What one step of the encoder and of the decoder does."""
    return c.order, c.decoder_order


class PonderingTranslator(EncoderDecoder):
    """A translator whose sides take as many steps as they need, and say what these cost."""

    encoder: AdaptiveDepth
    decoder: AdaptiveDepth

    def __init__(self, *parts: Any, ponder_weight: float):
        super().__init__(*parts)
        self.ponder_weight = ponder_weight

    def hidden_and_cost(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:  # b m, b n -> b n d, a number
        """`hidden`, and what is to be added to the mean loss of a token: the ponder cost of both sides, weighted."""
        mask = padding_mask(source, self.pad)
        memory = self.encoder.think(self.source(source), Context(mask=mask))
        written = self.decoder.think(self.target(target), Context(memory=memory.x, memory_mask=mask))
        cost = mean(memory.ponder, source != self.pad) + mean(written.ponder, target != self.pad)
        return written.x, self.ponder_weight * cost


class PonderingTagger(Tagger):
    """The encoder alone, likewise."""

    encoder: AdaptiveDepth

    def __init__(self, *parts: Any, ponder_weight: float):
        super().__init__(*parts)
        self.ponder_weight = ponder_weight

    def hidden_and_cost(self, ids: Tensor) -> tuple[Tensor, Tensor]:  # b n -> b n d, a number
        thought = self.encoder.think(self.source(ids), Context(mask=padding_mask(ids, self.pad)))
        return thought.x, self.ponder_weight * mean(thought.ponder, ids != self.pad)


def mean(ponder: Tensor, real: Tensor) -> Tensor:  # b n, b n -> a number
    """Over real positions; tensor2tensor's counts padding too."""
    return (ponder * real).sum() / real.sum().clamp(min=1)


def in_depth(c: UniversalConfig, order: str, attend: type[Attend]) -> InDepth:
    """A block of sublayers with its coordinates, for a fixed number of steps or with halting."""
    block = Stack(order, **sublayers(c, attend))
    coordinates = Coordinates(positions(c), step_codes(c), c.random_start)
    last = nn.LayerNorm(c.dim, eps=c.eps) if c.norm == "pre" else nn.Identity()
    if c.halting == "none":
        return FixedDepth(block, coordinates, c.steps, last)
    halting = Halting(c.halting, c.halting_epsilon, c.freeze)
    return AdaptiveDepth(block, coordinates, c.steps, last, c.dim, halting)


def step_codes(c: UniversalConfig) -> nn.Module:
    """How a step knows its number; sinusoids have the layout of the positions' where those are sinusoids too."""
    if c.step_codes == "sinusoids":
        layout = c.positions if c.positions in LAYOUTS else LAYOUTS[0]
        return SinusoidalPositions(c.dim, layout, length=c.steps)
    return LearnedPositions(c.dim, c.steps) if c.step_codes == "learned" else NoPositions()


def without_positions(c: UniversalConfig) -> Ends:
    """Inputs of embeddings alone: the coordinates are added later, at every step."""
    return ends(c.model_copy(update={"positions": "none"}))


def translator(c: UniversalConfig) -> EncoderDecoder:
    """The encoder-decoder of the paper; both sides have the same number of steps, or halt by themselves."""
    source, target, head = without_positions(c)
    parts = (source, in_depth(c, c.order, Attend), target, in_depth(c, c.decoder_order, CausalAttend), head)
    plain = c.halting == "none"
    return init(EncoderDecoder(*parts) if plain else PonderingTranslator(*parts, ponder_weight=c.ponder_weight), c)


def tagger(c: UniversalConfig) -> Tagger:
    """The encoder with an answer at each place."""
    source, _, head = without_positions(c)
    parts = (source, in_depth(c, c.order, Attend), head)
    plain = c.halting == "none"
    return init(Tagger(*parts) if plain else PonderingTagger(*parts, ponder_weight=c.ponder_weight), c)


def init(model: M, c: UniversalConfig) -> M:
    """tensor2tensor's: the Transformer's, the codes of steps from N(0, 1/d) times sqrt(d), the bias of halting at 1."""
    init_sublayers(model, c.dim)
    for name, parameter in model.named_parameters():
        if name.endswith("coordinates.steps.table"):
            nn.init.normal_(parameter)
        elif name.endswith("halt.bias"):
            nn.init.constant_(parameter, c.halting_bias)
    return model
