"""Attention Is All You Need. Vaswani et al. 2017, https://arxiv.org/abs/1706.03762

source ids -> embedding + position -> (self, feed-forward) x N -> memory;
target ids -> embedding + position -> (causal self, cross, feed-forward) x N -> logits.
"""

from pydantic import Field, model_validator

from allyouneed.nn.attention import Attend, CausalAttend
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.nn.stack import Stack
from allyouneed.nn.sublayers import SublayerConfig, check_order, ended, init_sublayers, sublayers
from allyouneed.nn.translator import ends


class TransformerConfig(SublayerConfig):
    """The numbers of a translator. The defaults are the preset `small`, which is safe on small data."""

    depth: int = Field(3, ge=1, description="Layers on each side, N, where no order is given.")
    order: str | None = Field(None, description="Encoder's order string, letters s, f, n; none: 'sf' * depth.")
    decoder_order: str | None = Field(None, description="Decoder's order, letters s, c, f, n; none: 'scf' * depth.")

    @model_validator(mode="after")
    def _orders_fit(self) -> "TransformerConfig":
        check_order("order", self.order, "sfn")
        check_order("decoder_order", self.decoder_order, "scfn")
        return self


_PAPER = dict(norm="post", bias=False, positions="interleaved", eps=1e-6, vocab_size=37000)

PRESETS = {
    "small": TransformerConfig(),
    "tiny": TransformerConfig(dim=128, heads=4, ffn_dim=256, depth=2, dropout=0.1),
    "paper-base": TransformerConfig(dim=512, heads=8, ffn_dim=2048, depth=6, dropout=0.1, **_PAPER),
    "paper-big": TransformerConfig(dim=1024, heads=16, ffn_dim=4096, depth=6, dropout=0.3, **_PAPER),
    # tensor2tensor's transformer_base since 2018 (v3): pre-norm, more dropout, its own layout of sinusoids.
    "t2t-base": TransformerConfig(
        dim=512, heads=8, ffn_dim=2048, depth=6, dropout=0.1, norm="pre", bias=False, eps=1e-6, vocab_size=32768,
        positions="tensor2tensor", attention_dropout=0.1, activation_dropout=0.1,
    ),
}  # fmt: skip


def orders(c: TransformerConfig) -> tuple[str, str]:
    """Encoder's and decoder's order strings; a pre-norm stack ends with a norm, n."""
    return ended(c, c.order or "sf" * c.depth), ended(c, c.decoder_order or "scf" * c.depth)


def transformer(c: TransformerConfig) -> EncoderDecoder:
    """The encoder-decoder of the paper, of tensor2tensor or of one's own numbers."""
    encoder_order, decoder_order = orders(c)
    encoder = Stack(encoder_order, **sublayers(c, Attend))
    decoder = Stack(decoder_order, **sublayers(c, CausalAttend))
    source, target, head = ends(c)
    model = EncoderDecoder(source, encoder, target, decoder, head)
    init(model, c.dim)
    return model


def init(model: EncoderDecoder, dim: int) -> None:
    """The paper is silent; tensor2tensor draws matrices with unit scaling (Glorot's) and tables from N(0, 1/d)."""
    init_sublayers(model, dim)
