"""The numbers that all encoders of text have, whatever their layers; a page adds its own."""

from typing import Literal

from pydantic import Field, model_validator

from allyouneed.settings import Settings

Pair = Literal["next-sentence", "sentence-order", "none"]


class EncoderConfig(Settings):
    """What surrounds the layers: tables, heads, dropout, initialisation."""

    vocab_size: int = Field(30522, ge=5, description="Size of the vocabulary; set from the trained subwords.")
    pad: int = Field(0, ge=0, description="The padding token's id, which nothing is computed for.")
    dim: int = Field(256, ge=2, description="Width of the layers.")
    heads: int = Field(4, ge=1, description="Attention heads; they share dim.")
    ffn_dim: int = Field(1024, ge=1, description="Inner width of the feed-forward network.")
    depth: int = Field(4, ge=1, description="Layers.")
    positions_length: int = Field(512, ge=1, description="Longest text: rows of the table of positions.")
    segments: int = Field(2, ge=1, description="Kinds of segments: rows of their table.")
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = Field(
        "gelu", description="Activation of the layers and of the masked-word head: gelu (exact) or gelu_tanh."
    )
    eps: float = Field(1e-12, gt=0, description="LayerNorm's epsilon.")
    labels: int = Field(2, ge=1, description="Classes of text-classification and of tagging; set from the data.")
    pair: Pair = Field("next-sentence", description="What pre-training asks of two texts; none: no head, no pooler.")
    dropout: float = Field(0.1, ge=0, lt=1, description="On embeddings and on the sublayers' outputs.")
    attention_dropout: float = Field(0.1, ge=0, lt=1, description="On attention weights.")
    head_dropout: float = Field(0.1, ge=0, lt=1, description="Before a classifying head.")
    pair_dropout: float = Field(0.0, ge=0, lt=1, description="Before the head of pairs (ALBERT's).")
    init_std: float = Field(0.02, gt=0, description="Deviation of the first weights.")
    init: Literal["truncated", "normal"] = Field(
        "truncated", description="Their distribution: cut off at two deviations (Google's), or not (Hugging Face's)."
    )

    @model_validator(mode="after")
    def _fits(self) -> "EncoderConfig":
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        if self.pad >= self.vocab_size:
            raise ValueError(f"pad {self.pad} is not a token of a vocabulary of {self.vocab_size}")
        return self
