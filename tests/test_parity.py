"""Weight for weight equal to the references, within 1e-5 in float32: outputs and gradients."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask
from allyouneed.weights import marian, torch_transformer
from allyouneed.weights.files import read_tensors
from allyouneed.weights.rename import Row, in_stack, load, rename

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # we switch it off, which torch remarks on


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


# ---- torch.nn.Transformer


def torch_reference(norm_first: bool, activation: str = "relu") -> nn.Transformer:
    """In training mode without dropout, for evaluation takes another path there; every weight is random."""
    model = nn.Transformer(
        16, 4, 2, 3, 24, 0.0, activation=activation, batch_first=True, norm_first=norm_first, layer_norm_eps=1e-3
    )
    model.encoder.enable_nested_tensor = False
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_torch_transformer_outputs_and_gradients(norm_first: bool, activation: str) -> None:
    reference = torch_reference(norm_first, activation)
    model, _ = torch_transformer.from_torch(reference, vocab_size=20)
    assert (model.encoder.order, model.decoder.order) == ("sfsfn", "scfscfscfn")
    ids = torch.tensor([[5, 5, 5, 5, 5, 5], [5, 5, 5, 5, 0, 0], [5, 0, 0, 0, 0, 0]])
    x, y, mask = torch.randn(3, 6, 16), torch.randn(3, 5, 16), padding_mask(ids)
    results = []
    for module in (model, reference):
        source, target = x.clone().requires_grad_(), y.clone().requires_grad_()
        if module is model:
            memory = model.encoder(source, Context(mask=mask))
            out = model.decoder(target, Context(memory=memory, memory_mask=mask))
        else:
            hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)  # True hides there
            hide = {"src_key_padding_mask": ids == 0, "memory_key_padding_mask": ids == 0}
            out = reference(source, target, tgt_mask=hidden, **hide)
        out.square().mean().backward()
        results.append((out, source.grad, target.grad))
    for ours, theirs in zip(*results, strict=True):
        close(ours, theirs)
    grads = {name: parameter.grad for name, parameter in reference.named_parameters()}
    for parameter in model.parameters():
        parameter.data = parameter.grad if parameter.grad is not None else parameter.data
    renamed = torch_transformer.to_torch(model)  # our gradients, by the reference's names
    assert set(renamed) == set(grads)
    for name, gradient in grads.items():
        close(renamed[name], gradient)


@pytest.mark.parametrize("norm_first", [True, False])
def test_torch_transformer_there_and_back(norm_first: bool) -> None:
    reference, other = torch_reference(norm_first), torch_reference(norm_first)
    model, _ = torch_transformer.from_torch(reference, vocab_size=20)
    other.load_state_dict(torch_transformer.to_torch(model))
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), reference.parameters(), strict=True))


def test_what_has_no_torch_transformer_is_refused() -> None:
    small = {"vocab_size": 20, "dim": 16, "heads": 2, "ffn_dim": 16, "depth": 1}
    torch_transformer.to_torch(transformer(TransformerConfig(**small)))
    for wiring in ({"norm": "post"}, {"order": "fsn"}, {"decoder_order": "sscf"}, {"decoder_order": "sfn"}):
        with pytest.raises(UserError, match="in the orders"):
            torch_transformer.to_torch(transformer(TransformerConfig(**{**small, **wiring})))
    with pytest.raises(UserError, match=r"missing: encoder\.layers\.0s"):
        torch_transformer.from_torch(nn.Transformer(16, 2, 1, 1, 16, bias=False), 20)
    with pytest.raises(UserError, match="activation"):
        torch_transformer.from_torch(nn.Transformer(16, 2, 1, 1, 16, activation=torch.tanh), 20)


# ---- Hugging Face Marian


def marian_reference(folder: Path, **changes: Any) -> Any:
    """A tiny random Marian, saved to disk as its users find it."""
    transformers = pytest.importorskip("transformers")
    numbers = {
        "vocab_size": 20, "d_model": 16, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 32,
        "pad_token_id": 19, "decoder_start_token_id": 19, "eos_token_id": 0, "forced_eos_token_id": 0,
        "scale_embedding": True, "activation_function": "swish", "dropout": 0.0, "attn_implementation": "eager",
    }  # fmt: skip
    model = transformers.MarianMTModel(transformers.MarianConfig(**{**numbers, **changes})).eval()
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            nn.init.normal_(parameter, std=0.3)
    model.final_logits_bias.normal_()
    with torch.no_grad():
        for embedding in (model.model.encoder.embed_tokens, model.model.decoder.embed_tokens):
            embedding.weight[embedding.padding_idx] = 0.0
    model.save_pretrained(folder)
    return model


MARIANS = {
    "opus-mt": {},
    "unscaled relu": {"scale_embedding": False, "activation_function": "relu"},
    "gelu of odd depth": {"activation_function": "gelu", "encoder_layers": 1, "decoder_layers": 1},
    "two vocabularies": {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 23},
    "softmax of its own": {"tie_word_embeddings": False},
}
marians = pytest.mark.parametrize("changes", MARIANS.values(), ids=MARIANS)


def marian_batch() -> tuple[Tensor, Tensor]:
    """Sources ended by 0 and padded with 19; targets begun by 19 and padded with it."""
    source, target = torch.randint(1, 19, (3, 7)), torch.randint(1, 19, (3, 6))
    source[0, 6], source[1, 3], source[2, 1] = 0, 0, 0
    source[1, 4:], source[2, 2:], target[1, 4:], target[2, 2:] = 19, 19, 19, 19
    target[:, 0] = 19
    return source, target


@marians
def test_marian_outputs(changes: dict[str, Any], tmp_path: Path) -> None:
    reference, (source, target) = marian_reference(tmp_path, **changes), marian_batch()
    model, config = marian.load_marian(tmp_path)
    assert not model.training and model.pad == 19 and config.dim == 16
    out = reference(input_ids=source, attention_mask=source != 19, decoder_input_ids=target)
    memory, real = model.encode(source).memory, source != 19
    close(memory[real], out.encoder_last_hidden_state[real])
    close(model(source, target), out.logits)
    assert out.logits.std() > 0.5  # there is something to compare


@marians
def test_marian_decodes_step_by_step(changes: dict[str, Any], tmp_path: Path) -> None:
    reference, (source, target) = marian_reference(tmp_path, **changes), marian_batch()
    model, _ = marian.load_marian(tmp_path)
    seen = {"attention_mask": source != 19}
    whole = reference(input_ids=source, decoder_input_ids=target, **seen)
    encoded, past, cache = (whole.encoder_last_hidden_state,), None, model.init_cache(source)
    for place in range(6):
        ids = target[:, place]
        theirs = reference(
            encoder_outputs=encoded, decoder_input_ids=ids[:, None], past_key_values=past, use_cache=True, **seen
        )
        ours, cache = model.step(ids, cache)
        past = theirs.past_key_values
        close(ours, theirs.logits[:, 0])
        close(ours, whole.logits[:, place])


def test_marian_gradients(tmp_path: Path) -> None:
    """All but the padding row's, which torch's `padding_idx` freezes in the embedding and nowhere else."""
    reference, (source, target) = marian_reference(tmp_path).train(), marian_batch()
    model, _ = marian.load_marian(tmp_path)
    model.train()
    reference(input_ids=source, attention_mask=source != 19, decoder_input_ids=target).logits.square().mean().backward()
    model(source, target).square().mean().backward()
    theirs = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    expected = rename(theirs, marian.TABLE).tensors
    compared = 0
    for name, parameter in model.named_parameters():
        if name == "head.bias":  # a buffer there
            continue
        real = slice(19) if name == marian.SOURCE else slice(None)
        close(parameter.grad[real], expected[name][real])
        compared += 1
    assert compared == 1 + 2 * (6 + 6) + 3 * (6 + 8 + 6)  # a table; the weights of s and f; of s, c and f


# ---- files


@pytest.fixture(scope="module")
def marian_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marian")
    torch.manual_seed(1)
    marian_reference(folder)
    return folder


def copied(folder: Path, to: Path, **changes: Any) -> dict[str, Tensor]:
    """The folder's config with changes, written to another; its tensors."""
    numbers = {**json.loads((folder / "config.json").read_text()), **changes}
    (to / "config.json").write_text(json.dumps({key: value for key, value in numbers.items() if value is not None}))
    return read_tensors(folder)


def test_an_old_pickle_of_tensors_is_read(marian_folder: Path, tmp_path: Path) -> None:
    """With every name of the tied table and the stored sinusoids, as files of 2020 have them."""
    tensors = copied(marian_folder, tmp_path)
    for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors["model.shared.weight"]
    tensors["model.encoder.embed_positions.weight"] = torch.zeros(32, 16)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    batch = marian_batch()
    one, other = (marian.load_marian(folder)[0](*batch) for folder in (marian_folder, tmp_path))
    assert torch.equal(one, other)


def test_an_absent_logits_bias_is_zero(marian_folder: Path, tmp_path: Path) -> None:
    tensors = copied(marian_folder, tmp_path)
    del tensors["final_logits_bias"]
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert not marian.load_marian(tmp_path)[0].head.bias.any()


class Hostile:
    """Unpickled carelessly, it writes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("nested", [True, False])
def test_a_hostile_pickle_is_refused_and_nothing_runs(nested: bool, marian_folder: Path, tmp_path: Path) -> None:
    tensors: dict[str, Any] = dict(copied(marian_folder, tmp_path))
    trace = tmp_path / "was here"
    torch.save({**tensors, "x": Hostile(trace)} if nested else Hostile(trace), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin cannot be read as weights, and nothing in it was run"):
        marian.load_marian(tmp_path)
    assert not trace.exists()
    torch.load(tmp_path / "pytorch_model.bin", weights_only=False)  # the trap is a real one
    assert trace.exists()


def test_damaged_and_foreign_files_are_refused(marian_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*config\.json"):
        marian.load_marian(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not a JSON file"):
        marian.load_marian(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="should hold an object"):
        marian.load_marian(tmp_path)
    copied(marian_folder, tmp_path)
    with pytest.raises(UserError, match=r"holds no weights.*model\.safetensors or pytorch_model\.bin"):
        marian.load_marian(tmp_path)
    torch.save([torch.zeros(2)], tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="should hold tensors by name"):
        marian.load_marian(tmp_path)
    for content in (b"", b"nonsense", (marian_folder / "model.safetensors").read_bytes()[:5000]):
        for name in ("pytorch_model.bin", "model.safetensors"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UserError, match=f"{name} cannot be read as weights"):
                marian.load_marian(tmp_path)
        (tmp_path / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"model_type": "bart"}, "of type 'bart'; this loader reads marian only"),
        ({"activation_function": "mish"}, "activation_function 'mish' is not one of relu"),
        ({"encoder_ffn_dim": 32}, "encoder_ffn_dim and decoder_ffn_dim differ"),
        ({"pad_token_id": 20}, "pad_token_id 20 is not a token of a vocabulary of 20"),
        ({"pad_token_id": "x"}, "pad_token_id 'x' is not a token"),
        ({"dropout": 2}, "do not fit together: dropout Input should be less than 1$"),
        ({"decoder_layers": "two"}, "do not fit together: "),
        ({"d_model": 18}, "do not fit together: .*dim 18 is not divisible by heads 4"),
        ({"d_model": 32}, r"of another shape: .*encoder\.layers\.0s\.norm\.weight \(16, here 32\)"),
        ({"encoder_layers": 3}, r"missing: encoder\.layers\.4s\.layer\.qkv\.weight"),
        ({"decoder_layers": 2}, r"unexpected: .*decoder\.layers\.6s\.layer"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    changes: dict[str, Any], complaint: str, marian_folder: Path, tmp_path: Path
) -> None:
    torch.save(copied(marian_folder, tmp_path, **changes), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=complaint):
        marian.load_marian(tmp_path)


def test_every_name_that_does_not_fit_is_listed(marian_folder: Path, tmp_path: Path) -> None:
    tensors = copied(marian_folder, tmp_path)
    del tensors["model.encoder.layers.0.self_attn.k_proj.bias"], tensors["model.decoder.layers.1.fc2.weight"]
    tensors |= {"model.encoder.layernorm_embedding.weight": torch.ones(16), "extra": torch.ones(1)}
    tensors["lm_head.weight"] = torch.ones(20, 16)  # not the tied table's values
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError) as caught:
        marian.load_marian(tmp_path)
    missing, unexpected, double, shape = str(caught.value).split(": ", 1)[1].split("; ")
    assert missing == "missing: encoder.layers.0s.layer.qkv.bias[1], decoder.layers.5f.layer.outer.weight"
    assert unexpected == "unexpected: model.encoder.layernorm_embedding.weight, extra"
    assert double.startswith("given twice with different values: head.weight (here the same table as source.")
    assert shape == "of another shape: encoder.layers.0s.layer.qkv.bias (32, here 48)"


# ---- rename tables


def test_rename_joins_splits_drops_and_tells() -> None:
    table = [
        Row(r"(?P<i>\d)\.v", (in_stack("sf", "encoder", "f", "kv[1]"),)),
        Row(r"(?P<i>\d)\.k", (in_stack("sf", "encoder", "f", "kv[0]"),)),
        Row(r"both\.(.)", (r"a.\1", r"b.\1"), lambda t: t.chunk(2)),
        Row("twins?", ("c",)),
        Row("old.*"),
    ]
    one, two = torch.ones(1, 2), torch.zeros(1, 2)
    tensors = {
        "3.v": one,
        "3.k": two,
        "both.x": torch.cat([one, two]),
        "twin": one,
        "twins": two,
        "older": one,
        "?": one,
    }
    renamed = rename(tensors, table)
    assert renamed.unknown == ["?"] and renamed.conflicts == ["c"] and not renamed.missing
    assert set(renamed.tensors) == {"encoder.layers.7f.kv", "a.x", "b.x", "c"}
    assert renamed.tensors["encoder.layers.7f.kv"].tolist() == [[0, 0], [1, 1]]
    assert torch.equal(renamed.tensors["a.x"], one) and torch.equal(renamed.tensors["b.x"], two)
    assert rename({"3.v": one}, table).missing == ["encoder.layers.7f.kv[0]"]


def test_a_refused_load_changes_nothing() -> None:
    module = nn.Linear(2, 2)
    before = module.weight.detach().clone()
    with pytest.raises(UserError, match=r"^here does not fit this model: missing: bias$"):
        load(module, {"weight": torch.zeros(2, 2)}, [Row("weight", ("weight",))], "here")
    assert torch.equal(module.weight, before)
    load(
        module,
        {"w": torch.zeros(2, 2).half(), "b": torch.ones(2)},
        [Row("w", ("weight",)), Row("b", ("bias",))],
        "here",
    )
    assert not module.weight.any() and module.weight.dtype == torch.float32 and module.weight.requires_grad
