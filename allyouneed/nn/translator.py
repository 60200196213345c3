"""What all translators share around their layers: the numbers of vocabulary and width, and tables tied two or three ways."""

from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.positions import LearnedPositions, NoPositions, SinusoidalPositions
from allyouneed.settings import Settings


class TranslatorConfig(Settings):
    """Numbers that every translator has; a page adds its own."""

    vocab_size: int = Field(8000, ge=5, description="Size of the vocabulary (the target's where there are two).")
    source_vocab_size: int | None = Field(None, description="Size of the source's own vocabulary; none: shared.")
    dim: int = Field(256, ge=2, description="Width of the model, d_model.")
    scale_embedding: bool = Field(True, description="Embeddings times sqrt(dim), as in the paper.")
    positions: Literal["interleaved", "halves", "tensor2tensor", "learned", "none"] = Field(
        "interleaved", description="Layout of the sinusoids (interleaved is the paper's), learned positions, or none."
    )
    positions_length: int = Field(512, ge=1, description="Longest text for learned positions.")
    tie: Literal["all", "decoder", "none"] = Field(
        "all", description="Shared tables: all (source, target, softmax), decoder (target, softmax) or none."
    )
    head_bias: bool = Field(False, description="A bias per word on the logits (Marian's).")
    dropout: float = Field(0.3, ge=0, lt=1, description="On embeddings and on each sublayer's output (the paper's).")

    @model_validator(mode="after")
    def _tables_fit(self) -> "TranslatorConfig":
        if self.tie == "all" and self.source_vocab_size not in (None, self.vocab_size):
            raise ValueError("tie 'all' needs one vocabulary for both sides; use tie 'decoder' with separate ones")
        return self


class Ends(NamedTuple):
    """Where words enter a translator and leave it."""

    source: TextInput
    target: TextInput
    head: VocabularyHead


def ends(c: TranslatorConfig, out_dim: int | None = None) -> Ends:
    """Inputs of both sides and the softmax, with the tables shared as `tie` says.

    A softmax that reads another width than `dim`, `out_dim`, has a table of its own, whatever `tie` says.
    """
    scale = None if c.scale_embedding else 1.0
    target = TokenEmbedding(c.vocab_size, c.dim, scale)
    source = target if c.tie == "all" else TokenEmbedding(c.source_vocab_size or c.vocab_size, c.dim, scale)
    softmax = target.table.weight if c.tie != "none" else nn.Parameter(target.table.weight.detach().clone())
    if out_dim is not None and out_dim != c.dim:
        softmax = nn.Parameter(torch.randn(c.vocab_size, out_dim) * out_dim**-0.5)
    return Ends(
        TextInput(source, positions(c), c.dropout),
        TextInput(target, positions(c), c.dropout),
        VocabularyHead(softmax, c.head_bias),
    )


def positions(c: TranslatorConfig) -> nn.Module:
    """The kind of positions that the numbers name."""
    if c.positions == "learned":
        return LearnedPositions(c.dim, c.positions_length)
    return NoPositions() if c.positions == "none" else SinusoidalPositions(c.dim, c.positions)
