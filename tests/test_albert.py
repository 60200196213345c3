"""ALBERT: equal to transformers' weight for weight, sized as published, and its layers shared as the paper says."""

from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_references import TASKS, batch, close, reference, same_gradients, same_outputs
from pydantic import ValidationError

from allyouneed.models.albert import BUILDS, PRESETS, AlbertConfig, orders, turns
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask
from allyouneed.weights.albert import ALBERT
from allyouneed.weights.encoders import load_encoder

TINY = AlbertConfig(vocab_size=30, embedding_dim=8, dim=16, heads=4, ffn_dim=24, depth=3, positions_length=12)
VARIANTS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two groups of unlike turns": {"num_hidden_groups": 2},
    "two layers within": {"num_hidden_groups": 3, "inner_group_num": 2, "hidden_act": "gelu"},
}
variants = pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)


@pytest.mark.parametrize("head", TASKS)
@variants
def test_outputs_are_transformers(head: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model, (ids, segments) = reference(tmp_path, "Albert", head, **changes), batch()
    opened = load_encoder(tmp_path)
    assert (opened.family, opened.task, opened.model.training) == ("albert", TASKS[head], False)
    for given in (segments, None):
        same_outputs(model, opened.model, ids, given)


@pytest.mark.parametrize("head", TASKS)
@variants
def test_gradients_are_transformers(head: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model, (ids, segments) = reference(tmp_path, "Albert", head, **changes), batch()
    layers = 16 * changes.get("num_hidden_groups", 1) * changes.get("inner_group_num", 1)
    tables = 5 + 2  # and the map from narrow to wide
    rest = {"ForPreTraining": 9, "ForMaskedLM": 5, "ForSequenceClassification": 4}.get(head, 2)
    assert same_gradients(model, load_encoder(tmp_path), ALBERT, ids, segments) == layers + tables + rest


def test_the_body_alone(tmp_path: Path) -> None:
    model, (ids, segments) = reference(tmp_path, "Albert", "Model"), batch()
    out = model(input_ids=ids, attention_mask=(ids != 0).long(), token_type_ids=segments)
    mine = load_encoder(tmp_path, "text-classification").model
    hidden = mine.encode(ids, segments)
    close(hidden[ids != 0], out.last_hidden_state[ids != 0])
    close(mine.pool(hidden), out.pooler_output)


# ---- sizes


def parameters(c: AlbertConfig) -> int:
    """Lan et al. 2020, section 3.1: tables of width E, a map E -> H, one layer whatever the depth; the pooler."""
    v, e, d, f = 30000, 128, c.dim, c.ffn_dim
    layer = 4 * (d * d + d) + (d * f + f) + (f * d + d) + 2 * 2 * d
    return (v + 512 + 2) * e + 2 * e + (e * d + d) + layer + d * d + d


PUBLISHED = {"base": 11_683_584, "large": 17_683_968, "xlarge": 58_724_864, "xxlarge": 222_595_584}


@pytest.mark.parametrize("name", PRESETS)
def test_sizes(name: str) -> None:
    with torch.device("meta"):
        model = BUILDS["text-classification"](PRESETS[name])
    count = sum(parameter.numel() for parameter in model.body.parameters())
    assert count == parameters(PRESETS[name])
    assert count == PUBLISHED.get(name, count)


def test_parameters_do_not_grow_with_depth() -> None:
    """But with the groups."""

    def count(**changes: Any) -> int:
        model = BUILDS["masked-lm"](AlbertConfig(**{**TINY.model_dump(), **changes}))
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(depth=24) == count(depth=1)
    assert count(groups=3) - count(groups=2) == count(groups=2) - count() > 0


# ---- sharing


def test_a_layer_is_run_again_on_what_it_made_and_nothing_is_added() -> None:
    """No signal tells the turns apart: the encoder is its own first layer, three times."""
    model, (ids, segments) = BUILDS["masked-lm"](TINY).eval(), batch()
    once, source = model.body.encoder.layers["0g"].layer, model.body.source
    context = Context(mask=padding_mask(ids))
    x = source(ids, segments, None)
    for _ in range(3):
        x = once(x, context)
    close(model.encode(ids, segments)[ids != 0], x[ids != 0])


def test_turns_are_those_of_the_published_codes() -> None:
    """Worked by hand: of 7 layers in 3 groups, int(i / 2.33) is 0 0 0 1 1 2 2."""
    for depth, groups, expected in ((12, 1, [12]), (12, 4, [3, 3, 3, 3]), (7, 3, [3, 2, 2]), (5, 4, [2, 1, 1, 1])):
        assert turns(AlbertConfig(depth=depth, groups=groups)) == expected
    assert orders(AlbertConfig(depth=3, inner=2)) == ("sfsfsfsfsfsf",)
    with pytest.raises(ValidationError, match="groups 5 are more than the depth 4"):
        AlbertConfig(groups=5)


def test_each_dropout_is_where_it_should_be() -> None:
    """In training a zero rate leaves nothing random; any of the rates makes two passes differ."""
    ids, segments = batch()
    for field in ("dropout", "feedforward_dropout", "attention_dropout", "pair_dropout", None):
        changes = {} if field is None else {field: 0.5}
        quiet = {"pair_dropout": 0.0, **changes}
        model = BUILDS["masked-lm"](AlbertConfig(**{**TINY.model_dump(), **quiet})).train()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        first, second = (model(ids, segments) for _ in range(2))
        assert torch.equal(first.words, second.words) == (field in ("pair_dropout", None))
        assert torch.equal(first.pair, second.pair) == (field is None)
