"""GPT against Hugging Face's GPT and GPT-2, and what its letters spell."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from allyouneed.models.gpt import PRESETS, GPTConfig, gpt, orders
from allyouneed.nn.local import WindowAttend
from allyouneed.nn.stack import sandwich

TINY = dict(vocab_size=24, dim=16, heads=2, ffn_dim=32, dropout=0.0, attention_dropout=0.0)


def theirs_to_ours(theirs: dict[str, Tensor], prefix: str, names: dict[str, str], depth: int) -> dict[str, Tensor]:
    """Their weights under our names; their linear maps (Conv1D) are stored the other way round."""
    ours = {"target.embedding.table.weight": theirs[f"{prefix}{names['words']}.weight"],
            "target.positions.table": theirs[f"{prefix}{names['positions']}.weight"]}  # fmt: skip
    ours["head.weight"] = ours["target.embedding.table.weight"]
    parts = {"attn.c_attn": "0s.layer.qkv", "attn.c_proj": "0s.layer.out", "mlp.c_fc": "1f.layer.inner",
             "mlp.c_proj": "1f.layer.outer", "ln_1": "0s.norm", "ln_2": "1f.norm"}  # fmt: skip
    for layer in range(depth):
        for other, mine in parts.items():
            place = f"decoder.layers.{2 * layer + int(mine[0])}{mine[1:]}"
            for kind in ("weight", "bias"):
                tensor = theirs[f"{prefix}h.{layer}.{other}.{kind}"]
                ours[f"{place}.{kind}"] = tensor.T if tensor.dim() == 2 else tensor
    if names["norm"]:
        for kind in ("weight", "bias"):
            ours[f"decoder.layers.{2 * depth}n.norm.{kind}"] = theirs[f"{prefix}{names['norm']}.{kind}"]
    return ours


GPT_1 = {"words": "tokens_embed", "positions": "positions_embed", "norm": ""}
GPT_2 = {"words": "wte", "positions": "wpe", "norm": "ln_f"}


@pytest.mark.parametrize("preset, names", [("gpt", GPT_1), ("gpt2", GPT_2)])
def test_it_is_hugging_faces(preset: str, names: dict[str, str], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = dict(
        vocab_size=24, n_embd=16, n_head=2, n_layer=3, n_positions=12, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    if preset == "gpt":
        theirs = transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**sizes))
    else:
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=2))
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs.eval().save_pretrained(tmp_path)
    wiring = {**PRESETS[preset].model_dump(), **TINY, "ffn_dim": 64, "depth": 3, "positions_length": 12}
    ours = gpt(GPTConfig(**wiring)).eval()
    ours.load_state_dict(theirs_to_ours(load_file(tmp_path / "model.safetensors"), "transformer.", names, 3))
    ids = torch.randint(4, 24, (2, 12))
    logits, expected = ours(ids), theirs(ids).logits
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(logits) / 100
    (logits * weight).sum().backward()
    (expected * weight).sum().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    wanted = theirs_to_ours(grads, "transformer.", names, 3)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-5, rtol=1e-4)


def parameters(c: GPTConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in gpt(c).parameters())


@pytest.mark.parametrize("preset, vocab, length, norms, printed", [
    ("gpt", 40478, 512, 24, 117e6), ("gpt2", 50257, 1024, 25, 124.4e6),
])  # fmt: skip
def test_the_papers_size_has_the_papers_parameters(
    preset: str, vocab: int, length: int, norms: int, printed: float
) -> None:
    """Words and positions; per layer d x 3d and d x d with biases, d x 4d and 4d x d with biases; norms of 2d."""
    d = 768
    layer = 3 * d * d + 3 * d + d * d + d + 2 * 4 * d * d + 4 * d + d
    count = parameters(PRESETS[preset])
    assert count == (vocab + length) * d + 12 * layer + norms * 2 * d
    assert abs(count / printed - 1) < 0.005


@pytest.mark.parametrize("k", [0, 1, 3, 4])
def test_every_sandwich_has_the_parameters_of_the_plain_stack(k: int) -> None:
    assert parameters(GPTConfig(**TINY, order=sandwich(4, k))) == parameters(GPTConfig(**TINY, depth=4))


def test_an_order_names_its_layers() -> None:
    c = GPTConfig(**TINY, order="swlvdf")
    model = gpt(c)
    assert orders(c) == ("swlvdfn",)
    assert list(model.decoder.layers) == ["0s", "1w", "2l", "3v", "4d", "5f", "6n"]
    assert orders(GPTConfig(**TINY, depth=2, norm="post")) == ("sfsf",)


def test_dilations_double_and_begin_anew() -> None:
    model = gpt(GPTConfig(**TINY, order="dvdddd", dilations=3))
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv1d)]
    assert [conv.dilation[0] for conv in convolutions] == [1, 1, 2, 4, 1, 2]


@pytest.mark.parametrize("order, reach", [("ww", 6), ("vv", 4), ("dd", 6), ("s", 99), ("l", 99), ("f", 0)])
def test_how_far_each_letter_sees(order: str, reach: int) -> None:
    """Path lengths of table 1: a stack of two windows of 3, of two kernels of 3, of the same with dilations 1 and 2."""
    model = gpt(GPTConfig(**TINY, order=order, window=3, positions="none")).double().eval()
    ids = torch.randint(4, 24, (1, 20))
    before = model(ids)
    changed = ids.clone()
    changed[0, 5] = ids[0, 5] % 20 + 4
    moved = (model(changed) != before).any(-1)[0]
    assert moved.tolist() == [5 <= place <= 5 + reach for place in range(20)]
    assert all(module.left == 3 for module in model.modules() if isinstance(module, WindowAttend))


@pytest.mark.parametrize("changes, says", [
    ({"order": "sfxf"}, "'sfxf' has the letter 'x'; it may have the letters s, w, l, v, d, f and n only"),
    ({"order": ""}, "at least 1 character"),
    ({"heads": 3}, "dim 16 is not divisible by heads 3"),
    ({"kernel": 0}, "greater than or equal to 1"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        GPTConfig(**{**TINY, **changes})
