"""Models that are not made of this library's parts: maps as their own eager attention gives them, outputs untouched."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.tracing.foreign import sdpa
from allyouneed.tracing.record import record

transformers = pytest.importorskip("transformers")
each_way = pytest.mark.parametrize("way", ["sdpa", "eager"])
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


def built(model: Any, config: Any, way: str) -> nn.Module:
    config._attn_implementation = way
    return model(config).eval()


def marian(way: str) -> nn.Module:
    config = transformers.MarianConfig(
        vocab_size=50, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=49, decoder_start_token_id=49,
    )  # fmt: skip
    return built(transformers.MarianMTModel, config, way)


def bert(way: str) -> nn.Module:
    return built(transformers.BertModel, transformers.BertConfig(vocab_size=50, **SIZES), way)


def batch() -> tuple[Tensor, Tensor]:
    ids, mask = torch.randint(1, 48, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    mask[1, 4:] = 0
    return ids, mask


def same(trace: Any, relation: str, expected: tuple[Tensor, ...], rows: int, columns: int) -> None:
    assert len(expected) == len(trace.manifest.relations[relation].layers) == 2
    for number, weights in enumerate(expected):
        np.testing.assert_allclose(trace.weights(relation, number), weights[1, :, :rows, :columns], atol=1e-5)
        assert trace.manifest.relations[relation].layers[number].error < 1e-5


@each_way
def test_bert(way: str) -> None:
    model, (ids, mask) = bert(way), batch()
    with torch.no_grad():
        before = model(ids, attention_mask=mask).last_hidden_state
        with record(model) as seen:
            during = model(ids, attention_mask=mask).last_hidden_state
    assert torch.equal(before, during) and torch.equal(before, model(ids, attention_mask=mask).last_hidden_state)
    model.config._attn_implementation = "eager"
    expected = model(ids, attention_mask=mask, output_attentions=True).attentions
    trace = seen.trace(item=1)
    same(trace, "self", [e.detach() for e in expected], 4, 4)
    assert trace.manifest.spaces["tokens"].size == 4
    assert trace.manifest.relations["self"].layers[1].module == "encoder.layer.1.attention.self"


@each_way
def test_vit(way: str) -> None:
    config = transformers.ViTConfig(image_size=12, patch_size=4, num_channels=1, **SIZES)
    model, images = built(transformers.ViTModel, config, way), torch.randn(2, 1, 12, 12)
    with torch.no_grad(), record(model) as seen:
        model(images)
    model.config._attn_implementation = "eager"
    trace = seen.trace(item=1)
    same(trace, "self", [e.detach() for e in model(images, output_attentions=True).attentions], 10, 10)
    space = trace.manifest.spaces["patches"]
    assert (space.kind, space.rows, space.columns, space.prefix) == ("grid", 3, 3, 1)


@each_way
def test_marian(way: str) -> None:
    model, (ids, mask) = marian(way), batch()
    given = dict(input_ids=ids, attention_mask=mask, decoder_input_ids=torch.randint(1, 48, (2, 5)))
    with torch.no_grad():
        before = model(**given).logits
        with record(model) as seen:
            assert torch.equal(model(**given).logits, before)
    model.config._attn_implementation = "eager"
    for part in (model.model.encoder, model.model.decoder):
        part.config._attn_implementation = "eager"
    with torch.no_grad():
        out = model(**given, output_attentions=True)
    trace = seen.trace(item=1)
    same(trace, "encoder", out.encoder_attentions, 4, 4)
    same(trace, "decoder", out.decoder_attentions, 5, 5)
    same(trace, "cross", out.cross_attentions, 5, 4)
    assert trace.manifest.relations["decoder"].layers[0].causal
    assert {name: space.size for name, space in trace.manifest.spaces.items()} == {"source": 4, "target": 5}


def test_marians_greedy_decoding_is_put_together() -> None:
    model, (ids, _) = marian("sdpa"), batch()
    with torch.no_grad():
        with record(model) as stepped:
            written = model.generate(input_ids=ids, num_beams=1, max_new_tokens=4, min_new_tokens=4)
        with record(model) as whole:
            model(input_ids=ids, decoder_input_ids=written[:, :-1])
    a, b = stepped.trace(item=1), whole.trace(item=1)
    assert a.manifest.relations.keys() == b.manifest.relations.keys() == {"encoder", "decoder", "cross"}
    for name in a.manifest.relations:
        np.testing.assert_allclose(a.weights(name, 1), b.weights(name, 1), atol=1e-5)


def test_a_grouped_query_model() -> None:
    sizes = dict(
        num_attention_heads=4, num_key_value_heads=2, hidden_size=16, num_hidden_layers=2, intermediate_size=32
    )
    config = transformers.LlamaConfig(vocab_size=50, **sizes)
    ids = torch.randint(1, 48, (2, 6))
    model = built(transformers.LlamaModel, config, "sdpa")
    with torch.no_grad(), record(model) as seen:
        model(ids)
    model.config._attn_implementation = "eager"
    expected = model(ids, output_attentions=True).attentions
    same(seen.trace(item=1), "self", [e.detach() for e in expected], 6, 6)


# ---- torch's own


def torch_transformer() -> nn.Transformer:
    return nn.Transformer(16, 2, 2, 2, 32, batch_first=True).eval()


def keep(went: dict[str, Any], name: str, *call: Any) -> None:
    went[name] = call


def test_nn_transformer() -> None:
    """Against `need_weights=True` of its own modules, called by hand on what went in."""
    model, (source, target) = torch_transformer(), (torch.randn(2, 6, 16), torch.randn(2, 4, 16))
    padding = torch.tensor([[False] * 6, [False] * 3 + [True] * 3])
    given = dict(
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(4), src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )  # fmt: skip
    before, went = model(source, target, **given), dict[str, Any]()
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            module.register_forward_pre_hook(partial(keep, went, name), with_kwargs=True)
    with record(model) as seen:
        assert torch.equal(model(source, target, **given), before)
    trace = seen.trace(item=1)
    for relation in trace.manifest.relations.values():
        for layer in relation.layers:
            module, args, kwargs = went[layer.module]
            kwargs = {**kwargs, "need_weights": True, "average_attn_weights": False, "is_causal": False}
            n, m = (trace.manifest.spaces[space].size for space in (relation.queries, relation.keys))
            expected = module(*args, **kwargs)[1][1, :, :n, :m].detach()
            np.testing.assert_allclose(trace.arrays[layer.weights], expected, atol=1e-5)
            assert layer.error < 1e-5
    assert {name: len(r.layers) for name, r in trace.manifest.relations.items()} == dict(encoder=2, decoder=2, cross=2)
    assert trace.manifest.relations["cross"].layers[0].module == "decoder.layers.0.multihead_attn"


def test_nn_transformer_in_evaluation_without_gradients_differs_by_rounding_alone() -> None:
    model, given = torch_transformer(), (torch.randn(2, 6, 16), torch.randn(2, 4, 16))
    with torch.no_grad():
        before = model(*given)
        with record(model) as seen:
            during = model(*given)
        torch.testing.assert_close(during, before, atol=1e-5, rtol=0)
        assert torch.equal(model(*given), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert len(seen.looks) == 6


@pytest.mark.parametrize("needs", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_multihead_attention_with_all_its_masks(needs: bool, batch_first: bool) -> None:
    module = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=batch_first).eval()
    q, k, v = torch.randn(3, 4, 8), torch.randn(3, 5, 6), torch.randn(3, 5, 5)
    places, padding = torch.rand(6, 4, 5) > 0.8, torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5])
    places[..., 0] = False
    texts = (q, k, v) if batch_first else tuple(x.transpose(0, 1) for x in (q, k, v))
    with record(module) as seen:
        module(*texts, attn_mask=places, key_padding_mask=padding, need_weights=needs)
    expected = module(*texts, attn_mask=places, key_padding_mask=padding, average_attn_weights=False)[1].detach()
    trace = seen.trace(item=1)
    np.testing.assert_allclose(trace.weights("cross"), expected[1, :, :, :3], atol=1e-6)
    assert trace.manifest.relations["cross"].layers[0].error < 1e-6
    assert np.array_equal(trace.visible(trace.manifest.relations["cross"].layers[0]), ~places[2:4, :, :3].numpy())


def test_scaled_dot_product_attention_in_all_its_ways() -> None:
    q, k, v = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 6)
    bias = torch.randn(2, 4, 3, 5).masked_fill(torch.rand(2, 4, 3, 5) > 0.7, float("-inf"))
    bias[..., 0] = 0.5
    for options in (
        dict(enable_gqa=True), dict(enable_gqa=True, is_causal=True), dict(enable_gqa=True, scale=0.3),
        dict(enable_gqa=True, attn_mask=bias), dict(enable_gqa=True, attn_mask=bias > 0),
    ):  # fmt: skip
        look = sdpa(q, k, v, **options)
        torch.testing.assert_close(look.weights() @ look.v, F.scaled_dot_product_attention(q, k, v, **options))
        assert not look.weights()[~look.visible().expand(2, 4, 3, 5)].any()


class Handmade(nn.Module):
    """A model of one's own, as most are written."""

    def __init__(self, causal: bool = False):
        super().__init__()
        self.qkv, self.causal = nn.Linear(8, 24), causal

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / 2
        if self.causal:
            scores = scores.masked_fill(~torch.ones(x.shape[1], x.shape[1]).tril().bool(), float("-inf"))
        return (F.dropout(scores.softmax(-1), 0.1, self.training) @ v).transpose(1, 2).flatten(2)


def test_a_softmax_by_hand() -> None:
    model, x = Handmade(causal=True).eval(), torch.randn(2, 5, 8)
    with record(model) as seen:
        model(x)
    trace = seen.trace(item=1)
    q, k, _ = (t.detach() for t in model.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4))
    expected = (q @ k.mT / 2).masked_fill(~torch.ones(5, 5).tril().bool(), -1e30).softmax(-1)[1]
    np.testing.assert_allclose(trace.weights("self"), expected, atol=1e-6)
    layer = trace.manifest.relations["self"].layers[0]
    assert layer.causal and layer.error == 0


def test_a_foreign_model_without_attention_says_so_and_keeps_no_hook() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1))
    with pytest.raises(UserError, match="nothing to record in Sequential"), record(model):
        model(torch.randn(2, 4))
    with pytest.raises(ZeroDivisionError), record(model):
        model[0].register_forward_hook(lambda *_: 1 / 0)
        model(torch.randn(2, 4))
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == 1
