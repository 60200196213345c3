"""The Vision Transformer beside transformers' and beside the official arrays; positions of every kind; resolution."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.vit import PRESETS, RelativeAttend, VitConfig, at_resolution, vit
from allyouneed.nn.grid import MODES, grid_sinusoids, resample
from allyouneed.nn.stems import same_padding
from allyouneed.weights import vit as huggingface
from allyouneed.weights.vit_npz import load_npz, read_npz

TINY = VitConfig(classes=5, channels=2, image_size=12, patch=4, dim=16, heads=2, ffn_dim=24, depth=2, dropout=0.0)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def random(model: nn.Module, std: float = 0.3) -> nn.Module:
    """Every weight random: what starts at zero would hide a mistake."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    return model.eval()


def tiny(**changes: Any) -> VitConfig:
    return VitConfig(**{**TINY.model_dump(), **changes})


# ---- transformers


def reference(pooled: bool = False, **changes: Any) -> Any:
    from transformers import ViTConfig, ViTForImageClassification, ViTModel

    given = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24, image_size=12,
                 patch_size=4, num_channels=2, num_labels=5, layer_norm_eps=1e-3)  # fmt: skip
    config = ViTConfig(**{**given, **changes}, attn_implementation="eager")
    return random(ViTModel(config) if pooled else ViTForImageClassification(config))


def new_spelling(folder: Path, model: Any) -> None:
    """The folder with the names that the model has in memory."""
    assert "vit.layers.0.attention.q_proj.weight" in model.state_dict()
    save_file(dict(model.state_dict()), folder / "model.safetensors")


@pytest.mark.parametrize("spelling", ["on disk", "in memory"])
@pytest.mark.parametrize("changes", [{}, {"qkv_bias": False, "hidden_act": "gelu_pytorch_tanh"}])
def test_huggingface_outputs_and_gradients(changes: dict[str, Any], spelling: str, tmp_path: Path) -> None:
    theirs = reference(**changes)
    theirs.save_pretrained(tmp_path)
    assert "vit.encoder.layer.0.attention.attention.query.weight" in load_file(tmp_path / "model.safetensors")
    if spelling == "in memory":
        new_spelling(tmp_path, theirs)
    ours = huggingface.load_vit(tmp_path).model
    given = torch.randn(3, 2, 12, 12)
    one, other = given.clone().requires_grad_(), given.clone().requires_grad_()
    logits, expected = ours(one), theirs(other).logits
    close(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_a_body_with_a_pooler_becomes_pre_logits_and_a_head_of_zeros(tmp_path: Path) -> None:
    theirs = reference(pooled=True, pooler_output_size=7)
    theirs.save_pretrained(tmp_path)
    found = huggingface.load_vit(tmp_path)
    assert found.config.pre_logits == 7 and not found.model.head.weight.any()
    x = torch.randn(3, 2, 12, 12)
    close(found.model.pool(found.model.hidden(x)), theirs(x).pooler_output)


def test_labels_and_scaling_come_with_a_folder(tmp_path: Path) -> None:
    reference(num_labels=2, id2label={0: "cat", 1: "dog"}).save_pretrained(tmp_path)
    found = huggingface.load_vit(tmp_path)
    assert found.labels == ["cat", "dog"] and (found.mean, found.std) == ((0.5, 0.5), (0.5, 0.5))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2], "image_std": [0.3, 0.4]}))
    found = huggingface.load_vit(tmp_path)
    assert (found.mean, found.std) == ((0.1, 0.2), (0.3, 0.4))


@pytest.mark.parametrize(
    "changes",
    [{}, {"positions": "2d", "activation": "gelu_tanh"}, {"positions": "sincos", "bias": False}, {"positions": "none"}],
)
def test_transformers_opens_what_we_export(changes: dict[str, Any], tmp_path: Path) -> None:
    from transformers import ViTForImageClassification

    config = tiny(**changes)
    assert not huggingface.obstacles(config)
    ours = random(vit(config))
    huggingface.write(ours, config, list("abcde"), (0.3, 0.4), (0.2, 0.1), tmp_path)
    theirs, report = ViTForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert theirs.config.id2label == dict(enumerate("abcde"))
    x = torch.randn(3, 2, 12, 12)
    close(ours(x), theirs.eval()(x).logits)
    again = huggingface.load_vit(tmp_path)
    close(again.model(x), ours(x))
    assert again.labels == list("abcde") and (again.mean, again.std) == ((0.3, 0.4), (0.2, 0.1))


def test_what_transformers_cannot_express_is_named() -> None:
    config = tiny(pool="mean", positions="relative", pre_logits=8, order="ssff", stem="conv")
    words = " ".join(huggingface.obstacles(config))
    assert all(word in words for word in ("pool=mean", "positions=relative", "pre_logits=8", "order=ssff", "stem=conv"))


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"model_type": "deit"}, "of type 'deit'; this loader reads vit only"),
        ({"hidden_act": "relu"}, "hidden_act 'relu' is not one of gelu"),
        ({"image_size": [12, 16]}, r"image_size \[12, 16\] is not square"),
        ({"num_attention_heads": 3}, "do not fit together: .*dim 16 is not divisible by heads 3"),
        ({"num_hidden_layers": 3}, r"missing: .*encoder\.layers\.4s\.norm"),
        ({"patch_size": 3}, r"of another shape: .*source\.positions\.table \(10 x 16, here 17 x 16\)"),
        ({"id2label": [1]}, "id2label should name each class"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(changes: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    reference().save_pretrained(tmp_path)
    numbers = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**numbers, **changes}))
    with pytest.raises(UserError, match=complaint):
        huggingface.load_vit(tmp_path)


# ---- the official arrays


D, H, K, M, DEPTH, P, C, CLASSES, SIDE = 16, 2, 8, 24, 2, 4, 3, 5, 3


def official(pre_logits: bool = False, linen: bool = False, first: tuple[int, int] = (P, C)) -> dict[str, np.ndarray]:
    """Random arrays in the layout of vit_jax; `first` is the side and the channels of the patch kernel."""
    draw = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return draw.normal(size=shape, scale=0.3).astype(np.float32)

    out = {
        "cls": array(1, 1, D), "embedding/kernel": array(first[0], first[0], first[1], D), "embedding/bias": array(D),
        "Transformer/posembed_input/pos_embedding": array(1, SIDE * SIDE + 1, D),
        "Transformer/encoder_norm/scale": array(D), "Transformer/encoder_norm/bias": array(D),
    }  # fmt: skip
    names = ("LayerNorm_1", "MultiHeadDotProductAttention_0", "MlpBlock_0")
    second, attention, mlp = names if linen else ("LayerNorm_2", "MultiHeadDotProductAttention_1", "MlpBlock_3")
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}/"
        for norm in ("LayerNorm_0", second):
            out |= {f"{block}{norm}/scale": array(D), f"{block}{norm}/bias": array(D)}
        for word in ("query", "key", "value"):
            out |= {f"{block}{attention}/{word}/kernel": array(D, H, K), f"{block}{attention}/{word}/bias": array(H, K)}
        out |= {f"{block}{attention}/out/kernel": array(H, K, D), f"{block}{attention}/out/bias": array(D)}
        for k, (a, b) in enumerate(((D, M), (M, D))):
            out |= {f"{block}{mlp}/Dense_{k}/kernel": array(a, b), f"{block}{mlp}/Dense_{k}/bias": array(b)}
    width = 7 if pre_logits else D
    if pre_logits:
        out |= {"pre_logits/kernel": array(D, width), "pre_logits/bias": array(width)}
    return {**out, "head/kernel": array(width, CLASSES), "head/bias": array(CLASSES)}


def forward(a: dict[str, np.ndarray], maps: Tensor) -> Tensor:
    """The official forward pass, on the arrays as they are: maps b c y x, already cut where the kernel's side is 1."""
    p = {name: torch.from_numpy(array) for name, array in a.items()}
    second, attention, mlp = ("LayerNorm_1", "MultiHeadDotProductAttention_0", "MlpBlock_0")
    if "Transformer/encoderblock_0/LayerNorm_2/scale" in p:
        second, attention, mlp = ("LayerNorm_2", "MultiHeadDotProductAttention_1", "MlpBlock_3")

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-6).sqrt() * p[f"{name}/scale"] + p[f"{name}/bias"]

    side = p["embedding/kernel"].shape[0]
    cut = maps.unfold(2, side, side).unfold(3, side, side)  # b c y x p q
    x = torch.einsum("bcyxpq,pqcd->byxd", cut, p["embedding/kernel"]).flatten(1, 2) + p["embedding/bias"]
    x = torch.cat([p["cls"].expand(len(x), -1, -1), x], 1) + p["Transformer/posembed_input/pos_embedding"]
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}/"
        y = norm(x, f"{block}LayerNorm_0")
        q, k, v = (torch.einsum("bnd,dhk->bnhk", y, p[f"{block}{attention}/{w}/kernel"]) + p[f"{block}{attention}/{w}/bias"]
                   for w in ("query", "key", "value"))  # fmt: skip
        weights = torch.einsum("bnhk,bmhk->bhnm", q, k).div(math.sqrt(K)).softmax(-1)
        y = torch.einsum("bhnm,bmhk,hkd->bnd", weights, v, p[f"{block}{attention}/out/kernel"])
        x = x + y + p[f"{block}{attention}/out/bias"]
        y = norm(x, block + second) @ p[f"{block}{mlp}/Dense_0/kernel"] + p[f"{block}{mlp}/Dense_0/bias"]
        y = 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        x = x + y @ p[f"{block}{mlp}/Dense_1/kernel"] + p[f"{block}{mlp}/Dense_1/bias"]
    y = norm(x, "Transformer/encoder_norm")[:, 0]
    if "pre_logits/kernel" in p:
        y = torch.tanh(y @ p["pre_logits/kernel"] + p["pre_logits/bias"])
    return y @ p["head/kernel"] + p["head/bias"]


@pytest.mark.parametrize("pre_logits", [True, False])
@pytest.mark.parametrize("linen, prefix", [(False, ""), (True, ""), (False, "opt/target/"), (True, "params/")])
def test_the_official_arrays(pre_logits: bool, linen: bool, prefix: str, tmp_path: Path) -> None:
    arrays = official(pre_logits, linen)
    np.savez(tmp_path / "a.npz", **{prefix + name: array for name, array in arrays.items()})
    model, config = load_npz(tmp_path / "a.npz")
    assert (config.image_size, config.patch, config.heads, config.depth) == (12, 4, 2, 2)
    x = torch.randn(3, 3, 12, 12)
    close(model(x), forward(arrays, x))


def test_big_visions_scanned_layers_and_its_table_without_the_class_token(tmp_path: Path) -> None:
    arrays = official(linen=True)
    scanned = {name: array for name, array in arrays.items() if "encoderblock" not in name and "posembed" not in name}
    for name in (name for name in arrays if "encoderblock_0/" in name):
        layers = [arrays[name.replace("_0/", f"_{i}/", 1)] for i in range(DEPTH)]
        scanned[name.replace("encoderblock_0", "encoderblock")] = np.stack(layers)
    positions = arrays["Transformer/posembed_input/pos_embedding"]
    scanned["pos_embedding"], scanned["cls"] = positions[:, 1:], arrays["cls"] + positions[:, :1]
    np.savez(tmp_path / "a.npz", **{f"params/img/{name}": array for name, array in scanned.items()})
    x = torch.randn(3, 3, 12, 12)
    close(load_npz(tmp_path / "a.npz")[0](x), forward(arrays, x))


def residual_arrays() -> dict[str, np.ndarray]:
    """The ResNet of a hybrid, two stages of one unit and of two, whose map has 64 * 4 * 2 channels."""
    draw, out, dim_in = np.random.default_rng(1), {}, 64

    def put(name: str, *shape: int) -> None:
        out[name] = draw.normal(size=shape).astype(np.float32)

    put("conv_root/kernel", 7, 7, C, 64)
    names = {"gn_root": 64}
    for i, (units, width) in enumerate(((1, 64), (2, 128)), 1):
        for j in range(1, units + 1):
            block = f"block{i}/unit{j}"
            put(f"{block}/conv1/kernel", 1, 1, dim_in, width)
            put(f"{block}/conv2/kernel", 3, 3, width, width)
            put(f"{block}/conv3/kernel", 1, 1, width, 4 * width)
            names |= {f"{block}/gn1": width, f"{block}/gn2": width, f"{block}/gn3": 4 * width}
            if j == 1:
                put(f"{block}/conv_proj/kernel", 1, 1, dim_in, 4 * width)
                names[f"{block}/gn_proj"] = 4 * width
            dim_in = 4 * width
    for name, width in names.items():
        put(f"{name}/scale", 1, 1, 1, width)
        put(f"{name}/bias", 1, 1, 1, width)
    return out


def residual_forward(a: dict[str, np.ndarray], x: Tensor) -> Tensor:
    """The official ResNet, its padding written out as TensorFlow's rule."""
    p = {name: torch.from_numpy(array) for name, array in a.items()}

    def pad(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        return F.pad(x, (total // 2, total - total // 2) * 2, value=value)

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        w = p[f"{name}/kernel"]
        w = (w - w.mean((0, 1, 2))) / (w.std((0, 1, 2), correction=0) + 1e-5)
        return F.conv2d(pad(x, w.shape[0], stride), w.permute(3, 2, 0, 1), stride=stride)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.group_norm(x, 32, p[f"{name}/scale"].flatten(), p[f"{name}/bias"].flatten(), 1e-6)

    x = F.max_pool2d(pad(norm(conv(x, "conv_root", 2), "gn_root").relu(), 3, 2, -math.inf), 3, 2)
    for i, units in ((1, 1), (2, 2)):
        for j in range(1, units + 1):
            block, stride = f"block{i}/unit{j}", 2 if i > 1 and j == 1 else 1
            short = norm(conv(x, f"{block}/conv_proj", stride), f"{block}/gn_proj") if j == 1 else x
            y = norm(conv(x, f"{block}/conv1"), f"{block}/gn1").relu()
            y = norm(conv(y, f"{block}/conv2", stride), f"{block}/gn2").relu()
            x = (short + norm(conv(y, f"{block}/conv3"), f"{block}/gn3")).relu()
    return x


def test_the_official_hybrid(tmp_path: Path) -> None:
    arrays = {**official(first=(1, 512)), **residual_arrays()}
    np.savez(tmp_path / "a.npz", **arrays)
    model, config = load_npz(tmp_path / "a.npz")
    assert (config.stem, config.resnet, config.patch, config.image_size) == ("resnet", "1-2", 8, 24)
    x = torch.randn(2, 3, 24, 24)
    close(model(x), forward(arrays, residual_forward(arrays, x)))


def test_padding_of_even_sizes_goes_right_and_below() -> None:
    """By hand: four pixels, a kernel of three, stride 2: TensorFlow pads (0, 1), torch's padding=1 would (1, 1)."""
    x = torch.arange(1.0, 5.0).expand(1, 1, 4, 4)
    assert same_padding(x, 3, 2)[0, 0, 0].tolist() == [1, 2, 3, 4, 0]
    assert same_padding(x, 7, 2).shape == (1, 1, 9, 9) and same_padding(x, 7, 2)[0, 0, 2, :3].tolist() == [0, 0, 1]
    assert same_padding(x, 1, 2).shape == x.shape


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_npz(tmp_path / "absent.npz")
    (tmp_path / "bad.npz").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be read as arrays, and nothing in it was run"):
        read_npz(tmp_path / "bad.npz")
    np.savez(tmp_path / "pickle.npz", cls=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="cannot be read as arrays, and nothing in it was run"):
        read_npz(tmp_path / "pickle.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(UserError, match="holds no Vision Transformer of the official code: it has weights"):
        load_npz(tmp_path / "other.npz")


# ---- positions


@pytest.mark.parametrize("positions", ["none", "1d", "2d", "relative", "sincos"])
@pytest.mark.parametrize("pool", ["token", "mean"])
def test_only_positions_tell_one_order_of_patches_from_another(positions: str, pool: str) -> None:
    model = random(vit(tiny(positions=positions, pool=pool))).double()
    x = torch.randn(2, 2, 12, 12, dtype=torch.float64)
    squares = x.unflatten(3, (3, 4)).unflatten(2, (3, 4)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # b (y x) c p p
    mixed = squares[:, torch.tensor([3, 0, 8, 1, 5, 7, 2, 6, 4])].unflatten(1, (3, 3))
    mixed = mixed.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
    assert torch.allclose(model(x), model(mixed), atol=1e-9, rtol=0) == (positions == "none")


def test_fixed_positions_by_their_formula() -> None:
    table = grid_sinusoids((2, 3), 8)
    for row in range(2):
        for column in range(3):
            ws = [10000 ** -(j / (8 / 4 - 1)) for j in range(2)]
            code = [f(place * w) for place, f in ((column, math.sin), (column, math.cos), (row, math.sin), (row, math.cos))
                    for w in ws]  # fmt: skip
            close(table[row * 3 + column], torch.tensor(code))


def test_positions_of_two_axes_stand_side_by_side() -> None:
    model = random(vit(tiny(positions="2d")))
    table = model.source.positions
    added = table(torch.zeros(1, 10, 16))[0]
    assert not added[0].any()  # the class token has none
    for row in range(3):
        for column in range(3):
            assert torch.equal(added[1 + 3 * row + column], torch.cat([table.columns[column], table.rows[row]]))


@pytest.mark.parametrize("prefix", [0, 1])
def test_relative_positions_by_a_loop(prefix: int) -> None:
    attend = random(RelativeAttend((2, 3), 4, prefix)).double()
    n = 6 + prefix
    q, k, v = torch.randn(3, 2, 2, n, 4, dtype=torch.float64)

    def second_key(at: int, to: int) -> Tensor:
        if at < prefix or to < prefix:
            return attend.table[15 + (2 if at == to else 0 if at < prefix else 1)]
        (y, x), (v, u) = divmod(at - prefix, 3), divmod(to - prefix, 3)
        return attend.table[(v - y + 1) * 5 + (u - x + 2)]

    expected = torch.zeros_like(q)
    for b in range(2):
        for h in range(2):
            for at in range(n):
                scores = torch.stack([q[b, h, at] @ (k[b, h, to] + second_key(at, to)) for to in range(n)]) / 2
                expected[b, h, at] = scores.softmax(0) @ v[b, h]
    torch.testing.assert_close(attend(q, k, v), expected)
    mask = torch.ones(n, dtype=torch.bool)
    mask[2] = False
    assert not attend.weights(q, k, mask)[..., 2].any()


# ---- resolution


def naive(line: Tensor, size: int, corners: bool) -> Tensor:
    """Linear resampling of the first axis, place by place."""
    old, out = len(line), []
    for i in range(size):
        at = i * (old - 1) / (size - 1) if corners else (i + 0.5) * old / size - 0.5
        at = min(max(at, 0.0), old - 1.0)
        low = min(int(at), old - 2)
        out.append(line[low] * (low + 1 - at) + line[low + 1] * (at - low))
    return torch.stack(out)


@pytest.mark.parametrize("mode, corners", [("scipy", True), ("bilinear", False)])
@pytest.mark.parametrize("grid", [(7, 5), (2, 3)])
def test_linear_resampling_by_a_loop(mode: str, corners: bool, grid: tuple[int, int]) -> None:
    table = torch.randn(4, 3, 6)
    rows = naive(table, grid[0], corners)
    expected = naive(rows.transpose(0, 1), grid[1], corners).transpose(0, 1)
    close(resample(table, grid, mode), expected)


@pytest.mark.parametrize("size", [(7, 9), (3, 2)])
def test_antialiased_cubic_resampling_is_pillows(size: tuple[int, int]) -> None:
    table = torch.randn(5, 6, 3)
    planes = [Image.fromarray(plane.numpy()).resize(size[::-1], Image.Resampling.BICUBIC) for plane in table.unbind(2)]
    expected = torch.stack([torch.from_numpy(np.array(plane)) for plane in planes], dim=2)
    torch.testing.assert_close(resample(table, size, "bicubic_aa"), expected, atol=1e-4, rtol=1e-4)


def test_cubic_resampling_is_huggingfaces(tmp_path: Path) -> None:
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    found = huggingface.load_vit(tmp_path)
    larger, config = at_resolution(found.model, found.config, 20, "bicubic")
    assert config.image_size == 20
    x = torch.randn(2, 2, 20, 20)
    close(larger(x), theirs(x, interpolate_pos_encoding=True).logits)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("positions", ["none", "1d", "2d", "relative", "sincos"])
def test_the_same_resolution_changes_nothing(positions: str, mode: str) -> None:
    config = tiny(positions=positions)
    model, x = random(vit(config)), torch.randn(2, 2, 12, 12)
    torch.testing.assert_close(at_resolution(model, config, 12, mode)[0](x), model(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", ["1d", "2d", "relative"])
def test_a_table_that_says_nothing_about_place_stays_so(positions: str) -> None:
    """Equal vectors everywhere are equal vectors at every resolution, and the class token keeps its own."""
    config = tiny(positions=positions)
    model = random(vit(config))
    tables = [(name, p) for name, p in model.named_parameters() if name.rsplit(".")[-1] in ("table", "rows", "columns")]
    with torch.no_grad():
        for _, table in tables:
            table[:] = 0.5
            if positions != "2d":
                table[0 if positions == "1d" else -1] = 2.0
    other, _ = at_resolution(model, config, 20)
    for name, _ in tables:
        new = other.get_parameter(name)
        values = sorted(set(new.detach().flatten().tolist()))
        assert values == ([0.5] if positions == "2d" else [0.5, 2.0])


def test_offset_zero_stays_offset_zero() -> None:
    config = tiny(positions="relative", pool="mean")
    model = random(vit(config))
    other, _ = at_resolution(model, config, 20)
    for i in (0, 2):
        before, after = (m.encoder.layers[f"{i}s"].layer.attend.table for m in (model, other))
        close(after[9 * 9 // 2], before[5 * 5 // 2])


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="'cubic' is not known; known are scipy, bilinear, bicubic, bicubic_aa"):
        resample(torch.zeros(2, 2, 4), (3, 3), "cubic")


# ---- sizes and doors


def test_patches_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(UserError, match=r"image_size 30 .*squares of 4 pixels \(model\.patch\).*: 28 and 32"):
        vit(tiny(image_size=30))
    with pytest.raises(UserError, match=r"image_size 3 .*nearest that can: 4"):
        vit(tiny(image_size=3))
    with pytest.raises(UserError, match="power of two, not 6"):
        vit(tiny(image_size=12, patch=6, stem="conv"))
    with pytest.raises(UserError, match=r"16 times smaller, so model\.patch has to be a multiple of 16, not 4"):
        vit(tiny(stem="resnet"))


# Parameters in millions at 224 pixels and 1,000 classes: tables of the paper and of the official code, specs 1(b).
SIZES = {"ti16": 5.717, "s16": 22.051, "b16": 86.568, "b32": 88.224, "l16": 304.327, "h14": 632.046}


@pytest.mark.parametrize("preset", SIZES)
def test_the_papers_sizes(preset: str) -> None:
    with torch.device("meta"):
        model = vit(PRESETS[preset])
    count = sum(parameter.numel() for parameter in model.parameters())
    c = PRESETS[preset]
    places = (224 // c.patch) ** 2
    layer = 4 * c.dim * c.dim + 4 * c.dim + 2 * c.dim * c.ffn_dim + c.ffn_dim + c.dim + 4 * c.dim
    formula = (
        c.dim * (3 * c.patch**2 + 1) + c.dim + (places + 1) * c.dim + c.depth * layer + 2 * c.dim + 1000 * (c.dim + 1)
    )
    assert count == formula and round(count / 1e6, 3) == SIZES[preset]


def test_the_head_starts_without_an_opinion() -> None:
    assert not vit(TINY)(torch.randn(2, 2, 12, 12)).any()
