"""BERT: equal to transformers' weight for weight, sized as published, and its loss and kernels as their plain twins."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from encoder_references import TASKS, batch, close, reference, same_gradients, same_outputs
from pydantic import ValidationError
from torch import nn

from allyouneed.models.bert import BUILDS, PRESETS, BertConfig
from allyouneed.nn import packing
from allyouneed.nn.attention import SelfAttention
from allyouneed.nn.dropout import byte_mask
from allyouneed.nn.dropping_attention import DroppingAttend, _DroppingAttention
from allyouneed.nn.encoder_heads import NOTHING
from allyouneed.nn.kernels import attention_weights
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask
from allyouneed.weights.bert import BERT
from allyouneed.weights.encoders import load_encoder

TINY = BertConfig(vocab_size=30, dim=16, heads=4, ffn_dim=24, depth=3, positions_length=12, dropout=0.0,
                  attention_dropout=0.0, head_dropout=0.0)  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "exact gelu": {},
    "tanh gelu": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3},
    "relu, one kind of segment": {"hidden_act": "relu", "type_vocab_size": 1},
}


@pytest.mark.parametrize("head", TASKS)
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_outputs_are_transformers(head: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model, (ids, segments) = reference(tmp_path, "Bert", head, **changes), batch()
    segments = segments * (changes.get("type_vocab_size") != 1)
    opened = load_encoder(tmp_path)
    assert (opened.family, opened.task, opened.model.training) == ("bert", TASKS[head], False)
    for given in (segments, None):
        same_outputs(model, opened.model, ids, given)


@pytest.mark.parametrize("head", TASKS)
def test_gradients_are_transformers(head: str, tmp_path: Path) -> None:
    model, (ids, segments) = reference(tmp_path, "Bert", head), batch()
    layers, tables = 3 * 16, 5  # q k v o, two maps, two norms with a bias each; three tables and a norm
    rest = {"ForPreTraining": 9, "ForMaskedLM": 5, "ForSequenceClassification": 4}.get(head, 2)
    assert same_gradients(model, load_encoder(tmp_path), BERT, ids, segments) == layers + tables + rest


def test_the_body_alone(tmp_path: Path) -> None:
    """Under any head: `encode` is the last hidden state, with zeros at padding, and `pool` the pooler's output."""
    model, (ids, segments) = reference(tmp_path, "Bert", "Model"), batch()
    out = model(input_ids=ids, attention_mask=(ids != 0).long(), token_type_ids=segments)
    for task in BUILDS:
        mine = load_encoder(tmp_path, task).model
        hidden = mine.encode(ids, segments)
        close(hidden[ids != 0], out.last_hidden_state[ids != 0])
        assert not hidden[ids == 0].any()
        if task in ("masked-lm", "text-classification"):
            close(mine.pool(hidden), out.pooler_output)
        else:
            assert torch.equal(mine.pool(hidden), hidden[:, 0])


# ---- sizes


def parameters(v: int, p: int, d: int, f: int, layers: int) -> int:
    """Devlin et al. 2019 by its description: three tables and a norm; q, k, v, o and two maps with biases and two norms
    in each layer; the pooler."""
    layer = 4 * (d * d + d) + (d * f + f) + (f * d + d) + 2 * 2 * d
    return (v + p + 2) * d + 2 * d + layers * layer + d * d + d


PUBLISHED = {"base": 109_482_240, "large": 335_141_888}


@pytest.mark.parametrize("name", PRESETS)
def test_sizes(name: str) -> None:
    c = PRESETS[name]
    with torch.device("meta"):
        model = BUILDS["text-classification"](c)
    count = sum(parameter.numel() for parameter in model.body.parameters())
    assert count == parameters(30522, 512, c.dim, c.ffn_dim, c.depth)
    assert count == PUBLISHED.get(name, count)


# ---- initialisation and settings


@pytest.mark.parametrize("kind", ["truncated", "normal"])
def test_initialisation(kind: str) -> None:
    model = BUILDS["masked-lm"](BertConfig(**{**TINY.model_dump(), "vocab_size": 4000, "dim": 64, "init": kind}))
    table = model.body.source.embedding.table.weight
    # A normal distribution cut off at two deviations has 0.8796 of its deviation left.
    assert abs(table.std() / (0.02 * (0.8796 if kind == "truncated" else 1.0)) - 1) < 0.01
    assert bool((table.abs() <= 0.04).all()) == (kind == "truncated")
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif "norm" in name:
            assert (parameter == 1).all()


def test_numbers_that_do_not_fit_are_refused() -> None:
    for changes, complaint in (
        ({"heads": 3}, "dim 256 is not divisible by heads 3"),
        ({"pad": 9, "vocab_size": 9}, "pad 9"),
    ):
        with pytest.raises(ValidationError, match=complaint):
            BertConfig(**changes)
    with pytest.raises(ValueError, match="A text of 13 tokens is longer than the 12 learned positions"):
        BUILDS["masked-lm"](TINY)(torch.ones(1, 13, dtype=torch.long))


# ---- losses


def test_the_loss_is_that_of_all_logits_at_the_asked_places() -> None:
    model, (ids, segments) = BUILDS["masked-lm"](TINY), batch()
    targets = torch.full_like(ids, NOTHING)
    targets[0, 2], targets[0, 4], targets[1, 1] = 7, 0, 29
    answer = model(ids, segments)
    mine = model.head.loss(model.encode(ids, segments), targets)
    close(mine.loss, F.cross_entropy(answer.words.flatten(0, 1), targets.flatten(), reduction="sum"))
    assert mine.tokens == 3
    order = torch.tensor([0, 1, 1])
    pair = model.pair_head.loss(model.pool(model.encode(ids, segments)), order)
    close(pair.loss, F.cross_entropy(answer.pair, order, reduction="sum"))


def test_nothing_asked_costs_nothing() -> None:
    model, (ids, _) = BUILDS["masked-lm"](TINY), batch()
    nothing = model.head.loss(model.encode(ids), torch.full_like(ids, NOTHING))
    assert nothing.tokens == 0 and nothing.loss == 0
    nothing.loss.backward()


def test_tags_and_spans() -> None:
    ids, segments = batch()
    tagger, tags = BUILDS["tagging"](TINY), torch.full_like(ids, NOTHING)
    tags[0, 1], tags[1, 2] = 1, 0
    expected = F.cross_entropy(tagger(ids).flatten(0, 1), tags.flatten(), reduction="sum")
    close(tagger.head.loss(tagger.encode(ids), tags).loss, expected)
    finder, spans = BUILDS["question-answering"](TINY), torch.tensor([[2, 4], [1, 1], [NOTHING, NOTHING]])
    begins, ends = finder(ids, segments).unbind(-1)
    assert (begins.exp()[ids == 0] == 0).all()  # padding is no answer
    expected = -(begins.log_softmax(1)[[0, 1], [2, 1]] + ends.log_softmax(1)[[0, 1], [4, 1]]).sum() / 2
    found = finder.head.loss(finder.encode(ids, segments), finder.real(ids), spans)
    close(found.loss, expected)
    assert found.tokens == 2


# ---- padding left out


def test_a_packed_batch_equals_a_padded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs and gradients, with a text of nothing but padding."""
    model, (ids, segments) = BUILDS["masked-lm"](TINY).double(), batch()
    ids[2] = 0
    results = []
    for pays in (0.0, 1.1):
        monkeypatch.setattr(packing, "PAYS", pays)
        assert (packing.real_places(padding_mask(ids)) is None) == (pays > 1)
        hidden = model.encode(ids, segments)
        grads = torch.autograd.grad(hidden.square().sum(), list(model.body.encoder.parameters()))
        results.append((hidden, *grads))
    for packed, padded in zip(*results, strict=True):
        torch.testing.assert_close(packed, padded, atol=1e-12, rtol=1e-10)


def test_what_is_packed_is_what_is_computed() -> None:
    model, (ids, _) = BUILDS["masked-lm"](TINY), batch()
    rows: list[int] = []
    for module in model.body.encoder.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[:-1].numel()))
    model.encode(ids)
    assert set(rows) == {int((ids != 0).sum())} and len(rows) == 3 * 4


def test_packed_attention_of_one_text() -> None:
    """One row padded, one packed: the sizes alone must tell them apart."""
    layer = packing.PackedSelfAttention(16, 4)
    x, mask = torch.randn(1, 5, 16), torch.tensor([True, False, True, True, False])[None, None, None]
    whole = SelfAttention.forward(layer, x, Context(mask=mask))
    row = layer(x[:, [0, 2, 3]], Context(mask=mask))
    close(row[0], whole[0, [0, 2, 3]])
    assert torch.equal(layer(x, Context(mask=mask)), whole)


# ---- attention with dropout


@pytest.mark.parametrize("masked", [True, False])
def test_dropping_attention_equals_its_twin(masked: bool) -> None:
    """With the same bytes: softmax, then dropout, then values. Some rows may see nothing."""
    q, k, v = (torch.randn(3, 2, 7, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    mask = (torch.rand(3, 1, 1, 7) > 0.4) if masked else None
    if mask is not None:
        mask[2] = False
    torch.manual_seed(5)
    found = _DroppingAttention.apply(q, k, v, mask, 64)
    torch.manual_seed(5)
    keep = byte_mask(torch.Size((6, 7, 7)), 64, q.device).view(3, 2, 7, 7)
    expected = (attention_weights(q, k, mask) * keep * (256 / 192)) @ v
    towards = torch.randn_like(found)
    grads = (torch.autograd.grad((out * towards).sum(), (q, k, v)) for out in (found, expected))
    torch.testing.assert_close(found, expected)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_of_weights_keeps_the_mean_and_is_off_in_evaluation() -> None:
    attend = DroppingAttend(0.25)
    q, k, v = (torch.randn(1, 1, 6, 4) for _ in range(3))
    exact = attention_weights(q, k, None) @ v
    drawn = torch.stack([attend(q, k, v) for _ in range(3000)])
    assert not torch.equal(drawn[0], drawn[1])
    torch.testing.assert_close(drawn.mean(0), exact, atol=0.06, rtol=0)
    close(attend.eval()(q, k, v), exact)
    close(DroppingAttend(0.0)(q, k, v), exact)
