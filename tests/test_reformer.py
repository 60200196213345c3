"""The Reformer against Hugging Face's, weight for weight, and its own parts against their definitions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.reformer import PRESETS, InPieces, ReformerConfig, buckets, language_model, tagger
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Context
from allyouneed.nn.lsh import LSHAttend
from allyouneed.nn.positions_axial import AxialPositions

TINY = dict(vocab_size=24, dim=16, heads=2, head_dim=6, ffn_dim=20, positions_shape=(4, 8), rows_dim=4, dropout=0.0)
NAMES = {
    "target.embedding.table.weight": "reformer.embeddings.word_embeddings.weight",
    "target.positions.rows": "reformer.embeddings.position_embeddings.weights.0",
    "target.positions.columns": "reformer.embeddings.position_embeddings.weights.1",
    "decoder.layers.1n.norm.weight": "reformer.encoder.layer_norm.weight",
    "decoder.layers.1n.norm.bias": "reformer.encoder.layer_norm.bias",
    "head.weight": "lm_head.decoder.weight",
}


def theirs_to_ours(theirs: dict[str, Tensor], order: str) -> dict[str, Tensor]:
    """Their weights under our names; the head's bias, which transformers 5 no longer applies, is zero."""
    ours = {name: theirs[other].squeeze(1).squeeze(0) if "positions" in name else theirs[other]
            for name, other in NAMES.items()}  # fmt: skip
    ours["head.bias"] = torch.zeros(len(ours["head.weight"]))
    for i, letter in enumerate(order):
        here, there = f"decoder.layers.0r.layers.{i}{letter}", f"reformer.encoder.layers.{i // 2}"
        part = "attention" if letter != "f" else "feed_forward"
        for kind in ("weight", "bias"):
            ours[f"{here}.norm.{kind}"] = theirs[f"{there}.{part}.layer_norm.{kind}"]
            if letter == "f":
                for mine, other in (("inner", "dense"), ("outer", "output")):
                    ours[f"{here}.layer.layer.{mine}.{kind}"] = theirs[f"{there}.feed_forward.{other}.dense.{kind}"]
        if letter != "f":
            own = {name: theirs[f"{there}.attention.self_attention.{name}.weight"]
                   for name in (("query", "key", "value") if letter == "l" else ("query_key", "value"))}  # fmt: skip
            ours[f"{here}.layer.out.weight"] = theirs[f"{there}.attention.output.dense.weight"]
            if letter == "l":
                ours[f"{here}.layer.qkv.weight"] = torch.cat(list(own.values()))
            else:
                ours[f"{here}.layer.qk.weight"], ours[f"{here}.layer.v.weight"] = own.values()
    return ours


def reference(order: str, causal: bool, **changes: Any) -> Any:
    """A tiny random model of theirs, written to disk and read back by the caller."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    settings = dict(
        attn_layers=["local" if letter == "l" else "lsh" for letter in order[::2]], hidden_size=16, feed_forward_size=20,
        num_attention_heads=2, attention_head_size=6, axial_pos_shape=(4, 8), axial_pos_embds_dim=(4, 12), vocab_size=24,
        max_position_embeddings=32, lsh_attn_chunk_length=4, local_attn_chunk_length=4, num_buckets=[4, 2], num_hashes=2,
        hash_seed=5, is_decoder=causal, tie_word_embeddings=False, lsh_attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0, local_attention_probs_dropout_prob=0.0, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    config = transformers.ReformerConfig(**{**settings, **changes})
    kind = transformers.ReformerModelWithLMHead if causal else transformers.ReformerForMaskedLM
    model = kind(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def same_rotations(model: nn.Module) -> None:
    """Theirs seeds the generator anew in each layer, so that all of them draw the same."""
    for attend in (module for module in model.modules() if isinstance(module, LSHAttend)):
        torch.manual_seed(5)
        attend.rotations = torch.randn(attend.rotations.shape, dtype=torch.double).float()


@pytest.mark.parametrize(
    "order, causal", [("lfhf", True), ("hf", True), ("hflfhf", True), ("hf", False), ("hfhf", False)]
)
def test_it_is_hugging_faces_reformer(order: str, causal: bool, tmp_path: Path) -> None:
    """Outputs and gradients of both reversible stacks. Theirs counts in double, see tests/test_lsh.py."""
    theirs = reference(order, causal)
    theirs.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    c = ReformerConfig(**TINY, order=order, chunk=4, local_chunk=4, rounds=2, buckets=(4, 2), wrap=True)
    build, side = (language_model, ("target", "decoder")) if causal else (tagger, ("source", "encoder"))
    ours = build(c).eval()
    weights = theirs_to_ours(stored, order)
    for old, new in zip(("target", "decoder"), side, strict=True):
        weights = {
            name.replace(old + ".", new + ".", 1) if name.startswith(old) else name: w for name, w in weights.items()
        }
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith("rotations") for name in missing)
    same_rotations(ours)
    theirs.double().train()  # dropout is zero; only then does theirs run its reversible backward pass
    ids = torch.randint(4, 24, (2, 32))
    logits, expected = ours(ids), theirs(ids).logits
    torch.testing.assert_close(logits.double(), expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn(2, 32, 24) / 100
    (logits * weight).sum().backward()
    (expected * weight).sum().backward()
    found = {name: p.grad for name, p in ours.named_parameters()}
    wanted = theirs_to_ours({name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}, order)
    for name, grad in found.items():
        if name != "head.bias":
            other = wanted[name.replace(side[0] + ".", "target.").replace(side[1] + ".", "decoder.")]
            torch.testing.assert_close(
                grad.double(), other, atol=1e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
            )


@pytest.mark.parametrize("name", ["enwik8", "small"])
def test_the_presets_have_as_many_parameters_as_hugging_faces(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    c = PRESETS[name]
    order = c.order or "lfhf" * c.depth
    with torch.device("meta"):
        ours = language_model(c)
        theirs = transformers.ReformerModelWithLMHead(
            transformers.ReformerConfig(
                attn_layers=["local" if letter == "l" else "lsh" for letter in order[::2]],
                hidden_size=c.dim,
                feed_forward_size=c.ffn_dim,
                num_attention_heads=c.heads,
                attention_head_size=c.head_dim or c.dim // c.heads,
                axial_pos_shape=c.positions_shape,
                axial_pos_embds_dim=(c.dim // 4, c.dim - c.dim // 4),
                vocab_size=c.vocab_size,
                is_decoder=True,
                tie_word_embeddings=False,
            )
        )
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("shape, chunk", [((64, 64), 64), ((512, 1024), 64), ((16, 16), 64), ((128, 512), 256)])
def test_buckets_are_as_many_as_hugging_face_makes_for_the_longest_text(shape: tuple[int, int], chunk: int) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.reformer.modeling_reformer import LSHSelfAttention

    n = shape[0] * shape[1]
    theirs = LSHSelfAttention(transformers.ReformerConfig(lsh_attn_chunk_length=chunk, max_position_embeddings=n))
    theirs._set_num_buckets(n)
    found = buckets(ReformerConfig(positions_shape=shape, chunk=chunk))
    assert list(found) == (theirs.num_buckets if isinstance(theirs.num_buckets, list) else [theirs.num_buckets])


def test_a_short_longest_text_has_buckets_all_the_same() -> None:
    assert buckets(ReformerConfig(positions_shape=(2, 3), chunk=64)) == (2,)
    assert buckets(ReformerConfig(buckets=(6, 4))) == (6, 4)


# ---- parts


def test_axial_positions_by_hand() -> None:
    positions = AxialPositions(5, (3, 4), 2)
    codes = positions.codes(11)
    for i in range(11):
        expected = torch.cat([positions.rows[i // 4], positions.columns[i % 4]])
        torch.testing.assert_close(codes[i], expected)
        torch.testing.assert_close(positions.at(torch.zeros(1, 1, 5), i)[0, 0], expected)
    x = torch.randn(2, 7, 5)
    torch.testing.assert_close(positions(x), x + codes[:7])
    for too_long in (lambda: positions.codes(13), lambda: positions.at(x, 12)):
        with pytest.raises(UserError, match=r"13 tokens is longer than the 12 axial positions .* 3 x 4"):
            too_long()


def kept(layer: nn.Module, x: Tensor) -> int:
    """Numbers that autograd keeps between the passes, without weights."""
    own, found = {p.untyped_storage().data_ptr() for p in layer.parameters()}, {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x, Context())
    return sum(found.values())


def test_feed_forward_in_pieces_is_the_same_and_keeps_no_insides() -> None:
    whole, x = FeedForward(8, 64, "gelu").double(), torch.randn(2, 50, 8, dtype=torch.double, requires_grad=True)
    pieces = InPieces(whole, 7)
    torch.testing.assert_close(pieces(x, Context()), whole(x, Context()))
    results = [torch.autograd.grad(f(x, Context()).square().sum(), [x, *whole.parameters()]) for f in (pieces, whole)]
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain)
    assert kept(pieces, x) < 0.2 * kept(whole, x)


# ---- the model


@pytest.mark.parametrize("build", [language_model, tagger])
def test_a_text_of_many_chunks_is_learnt(build: Any) -> None:
    """With all its means at once: hashing, pieces, dropout and reversible layers."""
    c = ReformerConfig(
        **{**TINY, "positions_shape": (16, 16), "dropout": 0.1}, depth=1, chunk=8, local_chunk=8, ffn_chunk=50
    )
    model, ids = build(c), torch.randint(4, 24, (2, 200))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = model.head.loss(model.hidden(ids), ids)  # to say again what one has just read
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
        losses.append(float(loss.loss.detach() / loss.tokens))
    assert losses[-1] < 0.3 * losses[0]


def test_a_trained_model_may_be_given_more_rounds() -> None:
    model, ids = language_model(ReformerConfig(**TINY, order="hf", chunk=4)).eval(), torch.randint(4, 24, (1, 32))
    before = model(ids)
    for module in model.modules():
        if isinstance(module, LSHAttend):
            module.set_rounds(8)
    assert model(ids).shape == before.shape and not torch.equal(model(ids), before)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"order": "lfxf"}, r"'lfxf' has the letter 'x'; it may have the letters l, h, s and f only"),
        ({"head_dim": None, "heads": 3}, "dim 16 is not divisible by heads 3; give head_dim"),
        ({"buckets": (4, 3)}, r"\(4, 3\) must be even"),
        ({"rows_dim": 16}, "rows_dim 16 leaves nothing of dim 16"),
        ({"positions_shape": (0, 8)}, "at least one row and one column"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ReformerConfig(**{**TINY, **changes})
