"""The parts of image models beside their references and beside loops: Mixer, SPACH, lambda layers, residual trunks."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.models.cnn import CnnConfig, cnn
from allyouneed.models.lambda_networks import LambdaConfig, lambda_network
from allyouneed.models.mixer import MixerConfig, mixer
from allyouneed.models.spach import SpachConfig, spach
from allyouneed.nn import lambda_layer
from allyouneed.nn.grid import whole
from allyouneed.nn.lambda_layer import LambdaLayer
from allyouneed.nn.layer import Context
from allyouneed.nn.resnet import (
    NORMS,
    FrozenBatchNorm,
    Place,
    ResNet,
    SqueezeExcite,
    basic,
    bottleneck,
    imagenet_stem,
    stages,
)
from allyouneed.nn.stochastic_depth import StochasticDepth, rising
from allyouneed.nn.token_mlp import TokenMLP


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def random(model: nn.Module, std: float = 0.3) -> nn.Module:
    """Every weight random, and every statistic: what starts at zero or one would hide a mistake."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1.5)
    return model.eval()


def copy_in(pairs: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for ours, theirs in pairs:
            ours.copy_(theirs)


# ---- Mixer


def test_mixer_is_mlp_mixer_pytorchs() -> None:
    """Whose two factors are named the wrong way round (lucidrains/mlp-mixer-pytorch, 11)."""
    from mlp_mixer_pytorch import MLPMixer

    theirs = random(MLPMixer(image_size=12, channels=3, patch_size=4, dim=16, depth=2, num_classes=5,
                             expansion_factor=0.5, expansion_factor_token=4))  # fmt: skip
    c = MixerConfig(classes=5, channels=3, image_size=12, patch=4, dim=16, token_dim=8, ffn_dim=64, depth=2, eps=1e-5)
    ours = mixer(c).eval()
    first = theirs[1].weight.unflatten(1, (4, 4, 3)).permute(0, 3, 1, 2).flatten(1)  # d (p p c) -> d (c p p)
    pairs = [(ours.source.project.weight, first), (ours.source.project.bias, theirs[1].bias)]
    for i in range(2):
        for letter, block in zip("tf", theirs[2 + i]):
            layer = ours.encoder.layers[f"{2 * i + (letter == 'f')}{letter}"]
            mlp = layer.layer.mlp if letter == "t" else layer.layer
            pairs += [(layer.norm.weight, block.norm.weight), (layer.norm.bias, block.norm.bias)]
            for linear, their in ((mlp.inner, block.fn[0]), (mlp.outer, block.fn[3])):
                weight = their.weight[..., 0] if letter == "t" else their.weight  # a convolution of width one there
                pairs += [(linear.weight, weight), (linear.bias, their.bias)]
    for linear, their in ((ours.encoder.layers["4n"].norm, theirs[4]), (ours.head, theirs[6])):
        pairs += [(linear.weight, their.weight), (linear.bias, their.bias)]
    copy_in(pairs)
    assert sum(p.numel() for p in ours.parameters()) == sum(t.numel() for t, _ in pairs)
    x = torch.randn(3, 3, 12, 12)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits, expected = ours(one), theirs(other)
    close(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


# ---- SPACH


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def norm_of(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-6).sqrt() * norm.weight + norm.bias


def mlp_of(x: Tensor, mlp: Any) -> Tensor:
    return gelu(x @ mlp.inner.weight.T + mlp.inner.bias) @ mlp.outer.weight.T + mlp.outer.bias


def attention_of(x: Tensor, layer: Any, heads: int) -> Tensor:
    """One image, n d, one head after the other."""
    d = x.shape[1]
    q, k, v = (x @ w.T + b for w, b in zip(layer.qkv.weight.split(d), layer.qkv.bias.split(d)))
    out = []
    for part in torch.arange(d).chunk(heads):
        weights = (q[:, part] * (d // heads) ** -0.5 @ k[:, part].T).softmax(-1)
        out.append(weights @ v[:, part])
    return torch.cat(out, dim=1) @ layer.out.weight.T + layer.out.bias


def local_of(x: Tensor, conv: nn.Conv2d, side: int) -> Tensor:
    """The 3x3 kernel of each channel, place by place."""
    out = torch.zeros_like(x)
    for row, column, down, right in itertools.product(range(side), range(side), (-1, 0, 1), (-1, 0, 1)):
        if 0 <= row + down < side and 0 <= column + right < side:
            seen = x[(row + down) * side + column + right]
            out[row * side + column] += seen * conv.weight[:, 0, down + 1, right + 1]
    return out + conv.bias


@pytest.mark.parametrize("letter", ["p", "a", "m"])
@pytest.mark.parametrize("bypass", [True, False])
def test_a_block_of_spach_by_loops(letter: str, bypass: bool) -> None:
    """Also that the bypass reads what is not normalised, and that only the mixer is scaled."""
    c = SpachConfig(classes=5, channels=1, image_size=6, patch=2, dim=8, heads=2, ratio=2, order=letter, bypass=bypass)
    model = random(spach(c)).double()
    layers = model.encoder.layers
    mixing, feed = layers[f"1{letter}"], layers["2f"]
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    for image in range(2):
        expected = x[image].clone()
        if letter != "p":
            y = norm_of(x[image], mixing.branch.norm)
            layer = mixing.branch.layer
            y = attention_of(y, layer, 2) if letter == "a" else mlp_of(y.T, layer.mlp).T
            expected += mixing.branch.scale * y
        if bypass:
            expected += local_of(x[image], mixing.local.conv, 3)
        found = mixing(x, Context())
        torch.testing.assert_close(found[image], expected)
        expected = expected + mlp_of(norm_of(expected, feed.norm), feed.layer)
        torch.testing.assert_close(feed(found, Context())[image], expected)


def test_the_next_stage_of_spach_by_a_loop() -> None:
    model = random(spach(SpachConfig(classes=5, image_size=8, patch=2, dim=4, heads=2, order="p-p"))).double()
    down = model.encoder.layers["3d"]
    x = torch.randn(2, 16, 4, dtype=torch.float64)
    found = down(x, Context())
    for image in range(2):
        expected = torch.zeros(4, 8, dtype=torch.float64)
        for row, column, i, j in itertools.product(range(2), repeat=4):
            expected[row * 2 + column] += down.conv.weight[:, :, i, j] @ x[image, (2 * row + i) * 4 + 2 * column + j]
        mean, variance = expected.mean(), expected.var(correction=0)  # over places and channels
        expected = (expected - mean) / (variance + 1e-5).sqrt() * down.norm.weight + down.norm.bias
        torch.testing.assert_close(found[image], expected)


def test_a_stage_shares_its_mixer_and_nothing_else() -> None:
    model = spach(SpachConfig(classes=5, image_size=8, patch=2, dim=4, heads=2, order="mm-aam", shared=True))
    layers = model.encoder.layers
    assert layers["1m"].branch.layer is layers["3m"].branch.layer
    assert layers["6a"].branch.layer is layers["8a"].branch.layer
    assert layers["10m"].branch.layer is not layers["1m"].branch.layer
    for part in ("norm", "scale"):
        assert getattr(layers["1m"].branch, part) is not getattr(layers["3m"].branch, part)


def test_stochastic_depth_of_spach_rises_over_stages_and_is_even_in_one() -> None:
    def rates(order: str) -> list[float]:
        c = SpachConfig(classes=5, image_size=8, patch=2, dim=4, heads=2, order=order, stochastic_depth=0.3)
        return [m.rate for m in spach(c).modules() if isinstance(m, StochasticDepth)]

    assert rates("ppp") == [0.3] * 3
    assert rates("pp-am") == pytest.approx([0.0, 0.1, 0.2, 0.2, 0.3, 0.3])  # a mixer and its MLP have the same


# ---- the token MLP and stochastic depth


def test_the_token_mlp_reads_places_and_not_channels() -> None:
    layer, x = random(TokenMLP(5, 3)), torch.randn(2, 5, 4)
    y = layer(x, Context())
    for image, channel in itertools.product(range(2), range(4)):
        close(y[image, :, channel], mlp_of(x[image, :, channel], layer.mlp))


def test_stochastic_depth_leaves_out_whole_samples_and_keeps_the_mean() -> None:
    x, layer = torch.ones(4000, 3), StochasticDepth(0.25)
    y = layer(x)
    assert sorted(set(y.flatten().tolist())) == pytest.approx([0.0, 4 / 3]) and (y == y[:, :1]).all()
    assert abs(y.mean() - 1) < 0.05
    assert torch.equal(layer.eval()(x), x)
    assert set(StochasticDepth(0.25, rescale=False)(x).flatten().tolist()) == {0.0, 1.0}
    assert list(rising(0.2, 3)) == [0.0, 0.1, 0.2] and list(rising(0.2, 1)) == [0.0]


# ---- lambda layers


def pair(dim: int, side: int, intra: int, scope: int | None) -> tuple[LambdaLayer, Any]:
    """Ours and that of lambda-networks, with equal weights. Its convolution has a bias, which the paper has not."""
    from lambda_networks import LambdaLayer as Reference

    reach: dict[str, int] = {"n": side} if scope is None else {"r": scope}
    theirs = random(Reference(dim, dim_k=6, heads=4, dim_u=intra, **reach))
    ours = LambdaLayer(dim, 4, 6, intra, whole((side, side)) if scope is None else (scope, scope))
    table = theirs.rel_pos_emb if scope is None else theirs.pos_conv.weight[:, :, 0].permute(2, 3, 0, 1)
    norms = (theirs.norm_q.state_dict().values(), theirs.norm_v.state_dict().values())
    both = [torch.cat([q, v]) for q, v in zip(*norms) if q.dim()]
    norm = ours.norm
    copy_in([
        (ours.qv.weight, torch.cat([theirs.to_q.weight, theirs.to_v.weight])[..., 0, 0]),
        (ours.key.weight, theirs.to_k.weight[..., 0, 0]), (ours.table, table),
        *zip((norm.weight, norm.bias, norm.running_mean, norm.running_var), both),
    ])  # fmt: skip
    if scope is not None:
        nn.init.zeros_(theirs.pos_conv.bias)
    return ours.eval().double(), theirs.double()


ORDERS = ["queries first", "values first", "convolution"]


def force(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the three ways to the same sum."""
    if order == "convolution":
        monkeypatch.setattr(lambda_layer, "LARGE", 0)
        return
    method = LambdaLayer._queries_first if order == "queries first" else LambdaLayer._values_first
    for name in ("_queries_first", "_values_first"):
        monkeypatch.setattr(LambdaLayer, name, method)


@pytest.mark.parametrize("order, scope", [*itertools.product(ORDERS[:2], (None, 3, 13)), ("convolution", 3)])
@pytest.mark.parametrize("intra", [1, 3])
@pytest.mark.parametrize("learning", [True, False])
def test_lambda_layers_are_lambda_networks(
    order: str, intra: int, scope: int | None, learning: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole map, a part of it, and more than all of it; with the statistics of a batch and with stored ones."""
    force(order, monkeypatch)
    ours, theirs = pair(8, 5, intra, scope)
    ours.train(learning)
    theirs.train(learning)
    x = torch.randn(3, 8, 5, 5, dtype=torch.float64)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = ours(one), theirs(other)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-8, rtol=1e-8)
    table = theirs.rel_pos_emb.grad if scope is None else theirs.pos_conv.weight.grad[:, :, 0].permute(2, 3, 0, 1)
    torch.testing.assert_close(ours.table.grad, table, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("sees", ["content", "position", "both"])
@pytest.mark.parametrize("order", ORDERS[:2])
def test_a_lambda_layer_by_loops(sees: str, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a map that is not square, from the paper's equations (section 3.1)."""
    force(order, monkeypatch)
    b, d, h, k, u, (rows, columns) = 2, 4, 2, 3, 2, (2, 3)
    layer = random(LambdaLayer(d, h, k, u, (3, 5), sees)).double()
    x = torch.randn(b, d, rows, columns, dtype=torch.float64)
    qv = layer.norm(torch.einsum("od,bdyx->boyx", layer.qv.weight, x)).flatten(2)  # b o n
    found = layer(x).flatten(2)
    for image in range(b):
        tokens, q, v = x[image].flatten(1), qv[image, : h * k].view(h, k, -1), qv[image, h * k :].view(u, d // h, -1)
        n = rows * columns
        weights = None if layer.key is None else (layer.key.weight @ tokens).view(u, k, n).softmax(-1)
        for place in range(n):
            lambdas = torch.zeros(k, d // h, dtype=torch.float64)
            for to, depth in itertools.product(range(n), range(u)):
                down, right = to // columns - place // columns, to % columns - place % columns
                if weights is not None:
                    lambdas += torch.outer(weights[depth, :, to], v[depth, :, to])
                if layer.table is not None:
                    lambdas += torch.outer(layer.table[down + 1, right + 2, :, depth], v[depth, :, to])
            expected = torch.cat([q[head, :, place] @ lambdas for head in range(h)])
            torch.testing.assert_close(found[image, :, place], expected)


def test_the_position_lambdas_take_no_more_memory_for_a_larger_batch_but_their_own() -> None:
    """Without a batch axis: the table spread over all pairs (section 3.1, table 2)."""
    layer = LambdaLayer(8, 2, 4, 1, whole((6, 6)))
    assert layer.spread((6, 6), torch.float32).shape == (4, 36, 36)


def test_lambda_layers_stand_where_the_order_says() -> None:
    model = lambda_network(LambdaConfig(image_size=16, dim=8, order="c-lc-ll", stem="small"))
    found = [
        [isinstance(m, LambdaLayer) for b in stage for m in b.modules()].count(True) for stage in model.trunk.stages
    ]
    assert found == [0, 1, 2]
    # The table of the first reads a map of 16, that of the others of 8: a mean halves the map after the layer.
    tables = [m.table.shape[:2] for m in model.modules() if isinstance(m, LambdaLayer)]
    assert tables == [(31, 31), (15, 15), (7, 7)]


# ---- residual trunks


def resnet_pair(kind: str) -> tuple[nn.Module, nn.Module]:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(num_channels=2, embedding_size=8, hidden_sizes=[8, 16] if kind == "basic" else [32, 64],
                          depths=[2, 1], layer_type=kind, num_labels=5)  # fmt: skip
    theirs = random(ResNetForImageClassification(config))
    order = "bb-b" if kind == "basic" else "cc-c"
    ours = cnn(CnnConfig(classes=5, channels=2, image_size=32, dim=8, order=order, stem="imagenet")).eval()
    return ours, theirs


WORDS = {"conv": "convolution", "norm": "normalization"}


def their_name(name: str) -> str:
    """Our name of a trunk's weight as transformers spells it."""
    if name.startswith("head."):
        return name.replace("head.", "classifier.1.")
    name = name.removeprefix("trunk.")
    if name.startswith("stem."):
        kind, leaf = name.split(".")[1:]
        return f"resnet.embedder.embedder.{WORDS[kind]}.{leaf}"
    _, stage, block, part, *rest = name.split(".")
    kind, leaf = rest[0], rest[-1]
    where = f"resnet.encoder.stages.{stage}.layers.{block}."
    word = WORDS[kind[:4]]
    if part == "shortcut":
        return f"{where}shortcut.{word}.{leaf}"
    return f"{where}layer.{int(kind[-1]) - 1}.{word}.{leaf}"


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_the_trunk_is_huggingfaces_resnet(kind: str) -> None:
    ours, theirs = resnet_pair(kind)
    state = theirs.state_dict()
    renamed = {name: state.pop(their_name(name)) for name in ours.state_dict()}
    assert not state  # nothing of theirs is left over
    ours.load_state_dict(renamed)
    x = torch.randn(3, 2, 32, 32)
    close(ours(x), theirs(x).logits)


def test_a_frozen_norm_is_a_norm_at_rest_without_parameters() -> None:
    live = random(nn.BatchNorm2d(3))
    frozen = FrozenBatchNorm(3)
    assert not list(frozen.parameters()) and set(frozen.state_dict()) == set(live.state_dict()) - {
        "num_batches_tracked"
    }
    x = torch.randn(2, 3, 4, 4)
    close(frozen(x), x / (1 + 1e-5) ** 0.5)  # before weights are loaded it does nothing
    frozen.load_state_dict({name: value for name, value in live.state_dict().items() if value.dim()})
    close(frozen.train()(x), live(x))


@pytest.mark.parametrize("norm", NORMS)
def test_every_block_begins_as_its_shortcut(norm: str) -> None:
    """Unless its norms are frozen, which would leave it so for ever."""
    for make, width in ((basic, 8), (bottleneck, 32)):
        block, x = make(Place(width, 8, 1, 1), NORMS[norm]).train(), torch.randn(2, width, 4, 4)
        assert torch.equal(block(x), x.relu()) == (norm != "frozen")


def test_a_trunk_gives_the_map_of_every_stage() -> None:
    made = stages("b-bb-b", 4, 4, 4, {"b": lambda at: basic(at, NORMS["live"])}, {"b": 1})
    trunk = ResNet(imagenet_stem(3, 4, NORMS["live"]), made).eval()
    maps = list(trunk.each(torch.randn(2, 3, 50, 64)))
    assert [tuple(m.shape) for m in maps] == [(2, 4, 13, 16), (2, 8, 7, 8), (2, 16, 4, 4)]
    assert torch.equal(trunk(torch.ones(1, 3, 50, 64)), list(trunk.each(torch.ones(1, 3, 50, 64)))[-1])


def test_a_dilated_last_stage_keeps_its_size_and_its_weights() -> None:
    """DC5: the first block loses its stride, the others spread their kernels."""

    def trunk(dilated: bool) -> ResNet:
        made = stages("c-ccc", 4, 4, 4, {"c": lambda at: bottleneck(at, NORMS["live"])}, {"c": 4}, dilated)
        return ResNet(imagenet_stem(3, 4, NORMS["live"]), made).eval()

    plain, spread = trunk(False), trunk(True)
    spread.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert plain(x).shape[2:] == (8, 8) and spread(x).shape[2:] == (16, 16)
    convs = [block.branch.conv2 for block in spread.stages[1]]
    assert [conv.dilation[0] for conv in convs] == [1, 2, 2] and [conv.stride[0] for conv in convs] == [1, 1, 1]


def test_squeeze_and_excite_by_hand() -> None:
    layer, x = random(SqueezeExcite(16)), torch.randn(2, 16, 3, 3)
    gates = (layer.outer.weight @ (layer.inner.weight @ x.mean((2, 3)).T + layer.inner.bias[:, None]).relu()).T
    close(layer(x), x * torch.sigmoid(gates + layer.outer.bias)[:, :, None, None])


# ---- sizes


# Parameters in millions at 224 pixels and 1,000 classes: specs 2(b) and 3(e), which are the papers' tables.
SIZES = {
    "mixer": {"s32": 19.10, "s16": 18.53, "b16": 59.88, "b32": 60.29, "l16": 208.20, "h14": 432.35},
    "spach": {
        "xxs-conv": 7.83, "xxs-attn": 3.93, "xxs-mlp": 8.31, "xs-conv": 14.98, "xs-attn": 14.94, "xs-mlp": 15.93,
        "s-conv": 38.85, "s-attn": 32.51, "s-mlp": 39.82, "ms-xxs-conv": 5.09, "ms-xxs-attn": 2.37, "ms-xxs-mlp": 6.56,
        "ms-xs-conv": 17.30, "ms-xs-attn": 14.48, "ms-xs-mlp": 20.26, "ms-s-conv": 43.58, "ms-s-attn": 39.54,
        "ms-s-mlp": 46.54, "ms-s-mlp-shared": 44.26, "hybrid-ms-xs": 27.96, "hybrid-ms-s": 63.03,
    },
    "lambda": {"resnet50": 25.6, "resnet50-se": 28.1, "lambda50": 15.0, "lambda50-u4": 16.0},
    "cnn": {"resnet50": 25.6},
}  # fmt: skip


@pytest.mark.parametrize("name, preset", [(name, preset) for name, sizes in SIZES.items() for preset in sizes])
def test_the_papers_sizes(name: str, preset: str) -> None:
    system, printed = CATALOGUE[name], SIZES[name][preset]
    with torch.device("meta"):
        model = system.build(system.presets[preset])
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert round(count, 1 if name in ("lambda", "cnn") else 2) == pytest.approx(printed)


@pytest.mark.parametrize("name", SIZES)
def test_every_other_preset_can_be_built(name: str) -> None:
    for preset in CATALOGUE[name].presets.keys() - SIZES[name].keys():
        with torch.device("meta"):
            CATALOGUE[name].build(CATALOGUE[name].presets[preset])


# ---- doors


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"image_size 28 cannot be cut into squares of 8 pixels .* 24 and 32"):
        spach(SpachConfig(image_size=28, patch=2, order="p-p-a"))
    with pytest.raises(UserError, match="has to be even, not 3"):
        spach(SpachConfig(image_size=9, patch=3, order="p", stem="conv4"))
    with pytest.raises(ValueError, match="scope 4 has no middle"):
        LambdaConfig(scope=4)
    for config, changes in ((SpachConfig, {"dim": 30}), (LambdaConfig, {"dim": 30})):
        with pytest.raises(ValueError, match="dim 30 is not divisible by heads 4"):
            config(**changes)


# ---- ONNX


@pytest.mark.parametrize(
    "name", ["vit", "lambda", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mixer", "spach", "cnn"))]
)
def test_onnx_runtime_answers_as_the_model(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from allyouneed.weights import onnx_image

    system = CATALOGUE[name]
    model = random(system.build(system.tiny))
    notes = onnx_image.write(model, system.tiny, list("abcde"), (0.5, 0.5), (0.25, 0.25), tmp_path)
    assert "b 2 8 8" in notes[0]
    graph = onnx_image.OnnxClassifier(tmp_path)
    assert graph.facts["labels"] == list("abcde") and graph.facts["std"] == [0.25, 0.25]
    for count in (1, 2, 5):
        x = torch.randn(count, 2, 8, 8)
        torch.testing.assert_close(graph(x), model(x), atol=1e-4, rtol=1e-4)


def test_a_folder_without_a_graph_is_refused(tmp_path: Path) -> None:
    from allyouneed.weights.onnx_image import OnnxClassifier

    pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match=r"holds no model\.onnx and no onnx\.json"):
        OnnxClassifier(tmp_path)
