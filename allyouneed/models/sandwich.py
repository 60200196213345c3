"""Improving Transformer Models by Reordering their Sublayers. Press et al. 2020, https://arxiv.org/abs/1911.03864

source ids -> embedding + position -> self x k, (self, feed-forward) x (n - k), feed-forward x k -> memory;
target ids -> embedding + position -> the same with (causal self, cross) for self -> logits.
A language model: ids -> embedding + position -> causal self x k, (causal self, feed-forward) x (n - k), feed-forward x k.
"""

from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.attention import Attend, CausalAttend
from allyouneed.nn.frames import EncoderDecoder, LanguageModel
from allyouneed.nn.stack import Stack, sandwich
from allyouneed.nn.sublayers import SublayerConfig, check_order, ended, init_sublayers, sublayers
from allyouneed.nn.translator import ends


class SandwichConfig(SublayerConfig):
    """n sublayers of each kind, of which k go to the ends. With k = 0 it is the plain Transformer."""

    depth: int = Field(3, ge=1, description="Sublayers of each kind on each side, n, where no order is given.")
    sandwich: int = Field(1, ge=0, description="Self-attentions put at the bottom and feed-forwards at the top, k.")
    decoder_sandwich: int | None = Field(None, ge=0, description="The decoder's own k; none: as on the other side.")
    order: str | None = Field(None, description="Order of the encoder or language model, letters s, f, n; none: by k.")
    decoder_order: str | None = Field(None, description="Decoder's order, letters s, c, f, n; none: by k, c after s.")

    @model_validator(mode="after")
    def _orders_fit(self) -> "SandwichConfig":
        check_order("order", self.order, "sfn")
        check_order("decoder_order", self.decoder_order, "scfn")
        for name, k in (("sandwich", self.sandwich), ("decoder_sandwich", self.decoder_sandwich or 0)):
            if k > self.depth:
                raise ValueError(
                    f"{name} {k} is more than depth {self.depth}, the sublayers of each kind that there are"
                )
        return self


PRESETS = {
    "small": SandwichConfig(),
    "tiny": SandwichConfig(dim=128, heads=4, ffn_dim=256, depth=2, dropout=0.1),
    # The paper's model of characters (24 of each kind, k = 5), without the adaptive spans of what it is built on.
    "paper-enwik8": SandwichConfig(
        dim=768, heads=8, ffn_dim=4096, depth=24, sandwich=5, norm="post", bias=False, vocab_size=205, tie="none",
        head_bias=True, scale_embedding=False, dropout=0.0, attention_dropout=0.4, activation_dropout=0.4,
    ),
}  # fmt: skip


def orders(c: SandwichConfig) -> tuple[str, str]:
    """Encoder's (or the language model's) and decoder's order strings; a pre-norm stack ends with a norm, n.

    In the decoder both kinds of attention move together: s and c stay neighbours, as they are without a sandwich.
    """
    k = c.sandwich if c.decoder_sandwich is None else c.decoder_sandwich
    encoder, decoder = sandwich(c.depth, c.sandwich), sandwich(c.depth, k, attention="sc")
    return ended(c, c.order or encoder), ended(c, c.decoder_order or decoder)


def translator(c: SandwichConfig) -> EncoderDecoder:
    """A translator with both sides reordered. The paper finds no gain in it."""
    encoder_order, decoder_order = orders(c)
    encoder = Stack(encoder_order, **sublayers(c, Attend))
    decoder = Stack(decoder_order, **sublayers(c, CausalAttend))
    source, target, head = ends(c)
    model = EncoderDecoder(source, encoder, target, decoder, head)
    init(model, c.dim)
    return model


def language_model(c: SandwichConfig) -> LanguageModel:
    """A language model, for which the paper has made the order."""
    _, target, head = ends(c)
    model = LanguageModel(target, Stack(orders(c)[0], **sublayers(c, CausalAttend)), head)
    init(model, c.dim)
    return model


def init(model: nn.Module, dim: int) -> None:
    """The paper keeps the first weights of what it reorders; here they are the plain Transformer's."""
    init_sublayers(model, dim)
