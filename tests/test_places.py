"""The codes of positions are those that the model really adds."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from allyouneed.models.catalogue import CATALOGUE
from allyouneed.nn.positions import sinusoids
from allyouneed.tracing.places import places


def build(name: str, task: str | None = None, **changes: Any) -> nn.Module:
    system = CATALOGUE[name]
    config = system.config(**{**system.tiny.model_dump(), **changes})
    return system.builds[task or system.task](config).eval()


def added(model: nn.Module, part: str, *inputs: Tensor) -> np.ndarray:  # n d
    """What a part added to its input in a real pass."""
    kept: list[Tensor] = []
    handle = model.get_submodule(part).register_forward_hook(lambda _, given, out: kept.append(out - given[0]))
    with torch.no_grad():
        model(*inputs)
    handle.remove()
    return kept[0][0].numpy()


TOKENS = torch.randint(5, 24, (1, 8))


@pytest.mark.parametrize(
    "name, task, changes",
    [
        ("transformer", "translation", {}),
        ("transformer", "translation", {"positions": "learned"}),
        ("transformer", "translation", {"positions": "tensor2tensor"}),
        ("conv", "translation", {}),
        ("gpt", "language-model", {}),
        ("reformer", "language-model", {}),
    ],
)
def test_codes_of_text_are_what_is_added(name: str, task: str, changes: dict[str, Any]) -> None:
    model = build(name, task, **changes)
    inputs = (TOKENS, TOKENS) if task == "translation" else (TOKENS,)
    told, arrays = places(model, 8)
    for side, position in zip([side for side in ("source", "target") if hasattr(model, side)], told):
        np.testing.assert_allclose(arrays[position.codes], added(model, f"{side}.positions", *inputs), atol=1e-6)
    assert told and all(arrays[position.codes].dtype == np.float32 for position in told)


@pytest.mark.parametrize("kind", ["1d", "2d", "sincos"])
@pytest.mark.parametrize("pool", ["token", "mean"])
def test_codes_of_images_are_what_is_added(kind: str, pool: str) -> None:
    model: Any = build("vit", positions=kind, pool=pool)
    c: Any = CATALOGUE["vit"].tiny
    told, arrays = places(model, 1000, ["patches"])
    image = torch.rand(1, c.channels, c.image_size, c.image_size)
    np.testing.assert_allclose(arrays[told[0].codes], added(model, "source.positions", image), atol=1e-6)
    assert told[0].space == "patches" and told[0].sinusoidal == (kind == "sincos")
    assert len(arrays[told[0].codes]) == (c.image_size // c.patch) ** 2 + (pool == "token")


def test_both_sides_have_the_same_sinusoids_and_they_are_told_once() -> None:
    told, arrays = places(build("transformer"), 40)
    assert [(position.space, position.sinusoidal) for position in told] == [("source", True)]
    np.testing.assert_array_equal(arrays[told[0].codes], sinusoids(40, 16).numpy())


def test_learned_codes_of_two_sides_are_told_apart_and_cut_to_what_there_is() -> None:
    model: Any = build("transformer", positions="learned", positions_length=12)
    told, arrays = places(model, 64)
    assert [position.space for position in told] == ["source", "target"] and not any(p.sinusoidal for p in told)
    np.testing.assert_array_equal(arrays[told[1].codes], model.target.positions.table.detach().numpy())


def test_the_words_of_bert_have_places() -> None:
    model: Any = build("bert")
    told, arrays = places(model, 8, ["tokens"])
    np.testing.assert_array_equal(arrays[told[0].codes], model.body.source.positions.table[:8].detach().numpy())
    assert told[0].space == "tokens"


@pytest.mark.parametrize("kind", ["sinusoids", "learned"])
def test_steps_in_depth_have_codes_too(kind: str) -> None:
    model: Any = build("universal", step_codes=kind, steps=3)
    told, arrays = places(model, 8)
    steps = [position for position in told if not position.space]
    sides = (model.encoder, model.decoder)
    assert [position.sinusoidal for position in steps] == ([True] if kind == "sinusoids" else [False, False])
    for side, position in zip(sides, steps):
        nothing = torch.zeros(1, 1, 16)
        each = [side.coordinates.steps.at(nothing, step)[0, 0] for step in range(3)]
        np.testing.assert_array_equal(arrays[position.codes], torch.stack(each).detach().numpy())
    assert told[0].space == "source", "positions come first"


@pytest.mark.parametrize("name", ["rnn", "mixer", "cnn", "shuffle_exchange"])
def test_models_without_positions_give_none(name: str) -> None:
    assert places(build(name), 8) == ([], {})


def test_a_model_that_has_them_switched_off_gives_none() -> None:
    assert places(build("transformer", positions="none"), 8) == ([], {})
    assert places(build("universal", positions="none", step_codes="none"), 8) == ([], {})
    assert places(build("vit", positions="relative"), 8) == ([], {})


SMALL = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=24)
MARIAN = dict(
    vocab_size=24, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
    encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0, decoder_start_token_id=0, max_position_embeddings=32,
)  # fmt: skip


@pytest.mark.parametrize(
    "kind, sizes, table",
    [
        ("Bert", SMALL, "embeddings.position_embeddings"),
        ("Roberta", {**SMALL, "pad_token_id": 1}, "embeddings.position_embeddings"),
        ("Marian", MARIAN, "encoder.embed_positions"),
        ("Bart", MARIAN, "encoder.embed_positions"),
    ],
)
def test_tables_of_hugging_face_begin_at_their_first_row(kind: str, sizes: dict[str, Any], table: str) -> None:
    """What the table gave in a real pass is what is told."""
    transformers = pytest.importorskip("transformers")
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**sizes)).eval()
    kept: list[Tensor] = []
    model.get_submodule(table).register_forward_hook(lambda _, given, out: kept.append(out.reshape(-1, 16)))
    with torch.no_grad():
        model(TOKENS, **({"decoder_input_ids": TOKENS} if "d_model" in sizes else {}))
    told, arrays = places(model, 8, ["source", "target"])
    np.testing.assert_array_equal(arrays[told[0].codes], kept[0].numpy())
    assert told[0].space == "source" and told[0].sinusoidal == (kind == "Marian")


def test_hugging_face_vit() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {**SMALL, "image_size": 8, "patch_size": 4}
    model = transformers.ViTModel(transformers.ViTConfig(**{k: v for k, v in sizes.items() if k != "vocab_size"}))
    torch.nn.init.normal_(model.embeddings.position_embeddings)
    told, arrays = places(model, 100, ["patches"])
    np.testing.assert_array_equal(arrays[told[0].codes], model.embeddings.position_embeddings[0].detach().numpy())
    assert [position.space for position in told] == ["patches"]
