"""The systems whose training step is compared, each as people build it: same sizes, same batches, same optimiser."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Size(NamedTuple):
    dim: int
    heads: int
    ffn_dim: int
    depth: int
    dropout: float


SIZES = {
    "tiny": Size(32, 2, 64, 1, 0.1),  # to see that a benchmark runs
    "small": Size(256, 4, 1024, 3, 0.3),
    "paper-base": Size(512, 8, 2048, 6, 0.1),
    "paper-big": Size(1024, 16, 4096, 6, 0.3),
}
Loss = Callable[[Any], Tensor]


def _smoothed(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0, label_smoothing=0.1)


def ours(size: Size, vocab_size: int) -> tuple[nn.Module, Loss]:
    from allyouneed.models.transformer import TransformerConfig, transformer
    from allyouneed.nn.heads import Smoothing
    from allyouneed.tasks.translation import smoothed_loss

    model = transformer(TransformerConfig(vocab_size=vocab_size, **size._asdict()))
    smoothing = Smoothing.named("torch", 0.1, vocab_size)

    def loss(batch: Any) -> Tensor:
        return smoothed_loss(model, batch, smoothing)[0] / (batch.target_out != 0).sum()

    return model, loss


class TorchTransformer(nn.Module):
    """`nn.Transformer` with an embedding, sinusoids and a tied projection, as its tutorial has it."""

    def __init__(self, size: Size, vocab_size: int):
        super().__init__()
        from allyouneed.nn.positions import sinusoids

        self.table = nn.Embedding(vocab_size, size.dim, padding_idx=0)
        self.register_buffer("codes", sinusoids(1024, size.dim))
        self.drop = nn.Dropout(size.dropout)
        self.body = nn.Transformer(
            size.dim, size.heads, size.depth, size.depth, size.ffn_dim, size.dropout, batch_first=True, norm_first=True
        )
        self.scale = size.dim**0.5

    def embed(self, ids: Tensor) -> Tensor:
        return self.drop(self.table(ids) * self.scale + self.codes[: ids.shape[1]])

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        padding = source == 0
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1], device=source.device, dtype=torch.bool)
        hidden = self.body(
            self.embed(source), self.embed(target), tgt_mask=mask, tgt_is_causal=True,
            src_key_padding_mask=padding, memory_key_padding_mask=padding,
        )  # fmt: skip
        return F.linear(hidden, self.table.weight)


def torch_transformer(size: Size, vocab_size: int) -> tuple[nn.Module, Loss]:
    model = TorchTransformer(size, vocab_size)
    return model, lambda batch: _smoothed(model(batch.source, batch.target_in), batch.target_out)


def marian(size: Size, vocab_size: int) -> tuple[nn.Module, Loss]:
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=vocab_size, d_model=size.dim, encoder_layers=size.depth, decoder_layers=size.depth,
        encoder_attention_heads=size.heads, decoder_attention_heads=size.heads, encoder_ffn_dim=size.ffn_dim,
        decoder_ffn_dim=size.ffn_dim, dropout=size.dropout, activation_function="relu", scale_embedding=True,
        pad_token_id=0, eos_token_id=2, decoder_start_token_id=1, max_position_embeddings=1024, use_cache=False,
    )  # fmt: skip
    model = MarianMTModel(config)

    def loss(batch: Any) -> Tensor:
        out = model(input_ids=batch.source, attention_mask=batch.source != 0, decoder_input_ids=batch.target_in)
        return _smoothed(out.logits, batch.target_out)

    return model, loss


def x_transformers(size: Size, vocab_size: int) -> tuple[nn.Module, Loss]:
    from x_transformers import XTransformer

    sides = {
        f"{side}_{key}": value
        for side in ("enc", "dec")
        for key, value in {
            "num_tokens": vocab_size, "depth": size.depth, "heads": size.heads, "max_seq_len": 1024,
            "attn_dim_head": size.dim // size.heads, "attn_flash": True, "ff_mult": size.ffn_dim / size.dim,
            "layer_dropout": 0.0, "attn_dropout": 0.0, "ff_dropout": size.dropout, "emb_dropout": size.dropout,
        }.items()
    }  # fmt: skip
    model = XTransformer(dim=size.dim, tie_token_emb=True, ignore_index=0, **sides)

    def loss(batch: Any) -> Tensor:
        text = torch.cat([batch.target_in, batch.target_out[:, -1:]], dim=1)  # it shifts by itself
        return model(batch.source, text, mask=batch.source != 0)

    return model, loss


SYSTEMS: dict[str, Callable[[Size, int], tuple[nn.Module, Loss]]] = {
    "allyouneed": ours,
    "nn.Transformer": torch_transformer,
    "marian": marian,
    "x-transformers": x_transformers,
}
