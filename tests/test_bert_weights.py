"""Published folders of BERT's and ALBERT's come in and go out again; what does not fit or is hostile stays outside."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_references import TASKS, batch, close, ours, real_parts, reference, same_outputs
from mixed_text import mixed_lines
from safetensors.torch import save_file
from torch import Tensor, nn

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.weights import export_encoders, onnx_encoder
from allyouneed.weights.encoder_tokenizer import read_tokenizer
from allyouneed.weights.encoders import load_encoder
from allyouneed.weights.files import read_tensors

families = pytest.mark.parametrize("family", ["Bert", "Albert"])
heads = pytest.mark.parametrize("head", TASKS)


def copied(folder: Path, to: Path, **changes: Any) -> dict[str, Tensor]:
    """The folder's config with changes, written to another; its tensors. A change to None leaves the key out."""
    numbers = {**json.loads((folder / "config.json").read_text()), **changes}
    to.mkdir(exist_ok=True)
    (to / "config.json").write_text(json.dumps({key: value for key, value in numbers.items() if value is not None}))
    return read_tensors(folder)


def answers(folder: Path, task: str | None = None) -> list[Tensor]:
    torch.manual_seed(9)
    ids, segments = batch()
    return real_parts(ours(load_encoder(folder, task).model, ids, segments), ids)


def same(one: list[Tensor], other: list[Tensor]) -> None:
    assert len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# ---- spellings


@families
@heads
def test_old_spellings_and_a_missing_prefix(family: str, head: str, tmp_path: Path) -> None:
    """gamma and beta, no prefix, tied weights repeated, counters stored, a pickle, and a config of 2019."""
    reference(tmp_path / "new", family, head)
    tensors = copied(tmp_path / "new", tmp_path / "old", model_type=None, pad_token_id=None, layer_norm_eps=None)
    prefix = f"{family.lower()}."
    old = {}
    for name, tensor in tensors.items():
        norm = "norm." in name.lower()
        name = name.removeprefix(prefix)
        name = name.replace(".weight", ".gamma").replace(".bias", ".beta") if norm else name
        old[name] = tensor
    old["embeddings.position_ids"] = torch.arange(12)[None]
    if TASKS[head] == "masked-lm":
        words = "cls.predictions" if family == "Bert" else "predictions"
        old[f"{words}.decoder.weight"] = old["embeddings.word_embeddings.weight"]
        old[f"{words}.decoder.bias"] = old[f"{words}.bias"]
    torch.save(old, tmp_path / "old" / "pytorch_model.bin")
    opened = load_encoder(tmp_path / "old")
    assert (opened.family, opened.task) == (family.lower(), TASKS[head])
    same(answers(tmp_path / "old"), answers(tmp_path / "new"))


def test_a_pooler_that_nothing_reads_is_left_out_and_said(tmp_path: Path) -> None:
    """As in files of old classifiers of tokens and in `bert-base-uncased` without its pair head."""
    reference(tmp_path / "whole", "Bert", "ForPreTraining")
    tensors = copied(tmp_path / "whole", tmp_path / "cut", architectures=["BertForMaskedLM"])
    kept = {name: tensor for name, tensor in tensors.items() if "seq_relationship" not in name}
    save_file(kept, tmp_path / "cut" / "model.safetensors")
    opened = load_encoder(tmp_path / "cut")
    assert opened.config.pair == "none" and "pooler" in opened.notes[0]
    same(answers(tmp_path / "cut"), answers(tmp_path / "whole")[:1])
    reference(tmp_path / "tags", "Bert", "ForTokenClassification")
    tensors = copied(tmp_path / "tags", tmp_path / "tags")
    tensors |= {f"bert.pooler.dense.{leaf}": torch.ones(16, 16)[:, 0] for leaf in ("weight", "bias")}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "tags" / "model.safetensors")
    assert load_encoder(tmp_path / "tags").task == "tagging"


# ---- another head


@families
@heads
def test_the_body_goes_under_any_head(family: str, head: str, tmp_path: Path) -> None:
    """Where fine-tuning begins: the hidden states are the folder's, the head is new, and a note says so."""
    reference(tmp_path, family, head)
    ids, segments = batch()
    hidden = load_encoder(tmp_path).model.encode(ids, segments)
    for task in TASKS.values():
        opened = load_encoder(tmp_path, task)
        assert opened.task == task
        close(opened.model.encode(ids, segments), hidden)
        assert (opened.task == TASKS[head]) != any("new" in note for note in opened.notes)
        if opened.task != TASKS[head]:
            assert opened.labels is None


@families
def test_a_pooler_is_kept_or_new(family: str, tmp_path: Path) -> None:
    pooler = "body.pooler.linear.weight"
    for head, note in (("ForPreTraining", "the head is new"), ("ForMaskedLM", "the head and the pooler are new")):
        reference(tmp_path / head, family, head)
        opened = load_encoder(tmp_path / head, "text-classification")
        assert opened.notes[0].startswith(note)
        kept = [t for name, t in read_tensors(tmp_path / head).items() if "pooler" in name and name.endswith("weight")]
        assert [torch.equal(opened.model.state_dict()[pooler], tensor) for tensor in kept] == [True] * len(kept)


def test_a_head_for_ones_own_classes(tmp_path: Path) -> None:
    """Even where the folder has a classifier already."""
    reference(tmp_path, "Bert", "ForSequenceClassification")
    opened = load_encoder(tmp_path, "text-classification", labels=7)
    assert opened.config.labels == 7 and opened.labels is None and "the head is new" in opened.notes[0]
    ids, segments = batch()
    assert opened.model(ids, segments).shape == (3, 7)
    own = load_encoder(tmp_path).model
    close(opened.model.pool(opened.model.encode(ids)), own.pool(own.encode(ids)))


# ---- there and back


def subwords(kind: Any = "wordpiece") -> EncoderSubwords:
    return EncoderSubwords.train(mixed_lines(300, 2), kind, 200)


def untrained(system: str, task: str, **changes: Any) -> tuple[nn.Module, Any]:
    """A model of random weights large enough for every difference to show."""
    tiny = CATALOGUE[system].tiny
    config = type(tiny)(**{**tiny.model_dump(), "vocab_size": 200, "labels": 3, "positions_length": 32, **changes})
    model = CATALOGUE[system].builds[task](config).eval()
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=1.0 if name.endswith("norm.weight") else 0.0, std=0.3)
    return model, config


EXPORTS = [
    ("bert", "BertForPreTraining", {"pair_dropout": 0.0}),
    ("bert", "BertForMaskedLM", {"pair": "none", "activation": "relu", "eps": 1e-3, "segments": 3}),
    ("bert", "BertForSequenceClassification", {"activation": "gelu_tanh"}),
    ("bert", "BertForTokenClassification", {}),
    ("bert", "BertForQuestionAnswering", {}),
    ("albert", "AlbertForPreTraining", {"groups": 2, "inner": 2}),
    ("albert", "AlbertForMaskedLM", {"pair": "none", "activation": "gelu"}),
    ("albert", "AlbertForSequenceClassification", {}),
    ("albert", "AlbertForTokenClassification", {}),
    ("albert", "AlbertForQuestionAnswering", {}),
]


@pytest.mark.parametrize("system, name, changes", EXPORTS, ids=[name for _, name, _ in EXPORTS])
def test_an_export_is_opened_by_transformers_and_comes_back_equal(
    system: str, name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    task = TASKS[name[name.index("For") :]]
    model, config = untrained(system, task, **changes)
    labels = ["good", "bad", "ugly"] if task in ("text-classification", "tagging") else None
    assert not export_encoders.write(system, task, model, config, subwords(), tmp_path, labels)
    opened, faults = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(faults[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert opened.config.architectures == [name]
    ids, segments = batch()
    same_outputs(opened.eval(), model, ids, segments)
    back = load_encoder(tmp_path)
    assert (back.family, back.task, back.labels) == (system, task, labels or back.labels)
    same(ours(back.model, ids, segments), ours(model, ids, segments))
    assert back.config.model_dump() | {"init": config.init, "pair": config.pair} == config.model_dump() | (
        {} if task in ("text-classification", "tagging") else {"labels": 2}
    )
    state = back.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_an_exported_tokenizer_gives_the_same_ids(kind: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    own, lines = subwords(kind), mixed_lines(200)
    model, config = untrained("bert", "text-classification")
    export_encoders.write("bert", "text-classification", model, config, own, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    for a, b in zip(lines[:100], lines[100:], strict=True):
        found, (first, second) = theirs(a, b), own.encode([a, b])
        assert (found["input_ids"], found["token_type_ids"]) == own.pair(first, second)
        assert theirs(a)["input_ids"] == own.single(first).ids
    assert (theirs.mask_token_id, theirs.pad_token_id, theirs.model_max_length) == (own.marks.mask, own.marks.pad, 32)
    again = read_tokenizer(tmp_path, config.vocab_size)
    assert again.encode(lines) == own.encode(lines)
    if kind == "wordpiece":
        (tmp_path / "tokenizer.json").unlink()
        assert read_tokenizer(tmp_path).encode(lines) == own.encode(lines)


ONNX = [("bert", "masked-lm"), ("albert", "text-classification"), ("bert", "question-answering")]


@pytest.mark.parametrize("system, task", ONNX, ids=[" ".join(row) for row in ONNX])
def test_an_onnx_graph_gives_the_same_numbers(system: str, task: str, tmp_path: Path) -> None:
    """At sizes that it was not traced with, with padding, up to the longest text."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, config = untrained(system, task)
    (note,) = onnx_encoder.write(task, model, config, subwords(), tmp_path, ["a", "b", "c"])
    assert "no attention_mask" in note
    encoder = onnx_encoder.OnnxEncoder(tmp_path, threads=1)
    for b, n in ((1, 5), (3, 9), (2, 32), (1, 1)):
        ids, segments = torch.randint(5, 200, (b, n)), torch.randint(2, (b, n))
        ids[0, (n + 1) // 2 + 1 :] = 0
        with torch.no_grad():
            pairs = zip(encoder(ids, segments), ours(model, ids, segments), strict=True)
        for found, expected in pairs:
            for a, e in zip(real_parts([found], ids), real_parts([expected], ids), strict=True):
                torch.testing.assert_close(a, e, atol=1e-4, rtol=1e-4)
    assert json.loads((tmp_path / "onnx.json").read_text())["labels"] == ["a", "b", "c"]
    with pytest.raises(UserError, match=r"holds no model\.onnx"):
        onnx_encoder.OnnxEncoder(tmp_path / "elsewhere")


# ---- what stays outside


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    reference(folder, "Bert", "ForPreTraining")
    return folder


class Hostile:
    """Unpickled carelessly, it writes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("nested", [True, False])
def test_a_hostile_pickle_is_refused_and_nothing_runs(nested: bool, published: Path, tmp_path: Path) -> None:
    tensors: dict[str, Any] = dict(copied(published, tmp_path))
    trace = tmp_path / "was here"
    torch.save({**tensors, "x": Hostile(trace)} if nested else Hostile(trace), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin cannot be read as weights, and nothing in it was run"):
        load_encoder(tmp_path)
    assert not trace.exists()
    torch.load(tmp_path / "pytorch_model.bin", weights_only=False)  # the trap is a real one
    assert trace.exists()


def test_every_name_that_does_not_fit_is_listed(published: Path, tmp_path: Path) -> None:
    tensors = copied(published, tmp_path)
    del tensors["bert.encoder.layer.0.attention.self.key.bias"], tensors["cls.seq_relationship.weight"]
    tensors |= {"bert.encoder.layer.3.output.dense.bias": torch.ones(16), "extra": torch.ones(1)}
    tensors["cls.predictions.decoder.weight"] = torch.ones(30, 16)  # not the tied table's values
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError) as caught:
        load_encoder(tmp_path)
    missing, unexpected, double, shape = str(caught.value).split(": ", 1)[1].split("; ")
    assert missing == "missing: body.encoder.layers.0s.layer.qkv.bias[1], pair_head.linear.weight"
    assert unexpected == "unexpected: bert.encoder.layer.3.output.dense.bias, extra"
    assert double.startswith("given twice with different values: ") and "head.words.weight" in double
    assert shape == "of another shape: body.encoder.layers.0s.layer.qkv.bias (32, here 48)"


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"model_type": "roberta"}, "of type 'roberta'; encoders that can be read are bert, albert"),
        ({"model_type": "marian"}, "of type 'marian'; encoders that can be read are bert, albert"),
        ({"model_type": "albert"}, "holds no weights of albert's: the first is named '(bert|cls)\\."),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is not one of relu"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' cannot be read"),
        ({"is_decoder": True}, "is_decoder is set"),
        ({"hidden_size": 18}, "do not fit together: .*dim 18 is not divisible by heads 4"),
        ({"hidden_size": 32}, r"of another shape: .*source\.norm\.weight \(16, here 32\)"),
        ({"num_hidden_layers": "two"}, "do not fit together: depth"),
        ({"num_hidden_layers": 4}, r"missing: body\.encoder\.layers\.6s\.layer\.qkv\.weight"),
        ({"num_hidden_layers": 2}, r"unexpected: bert\.encoder\.layer\.2\."),
        ({"vocab_size": 31}, r"of another shape: .*table\.weight \(30 x 16, here 31 x 16\)"),
        ({"pad_token_id": 30}, "pad 30 is not a token of a vocabulary of 30"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    changes: dict[str, Any], complaint: str, published: Path, tmp_path: Path
) -> None:
    torch.save(copied(published, tmp_path, **changes), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=complaint):
        load_encoder(tmp_path)


def test_what_a_folder_is_for_must_be_known(published: Path, tmp_path: Path) -> None:
    reference(tmp_path / "body", "Bert", "Model")
    with pytest.raises(UserError, match=r"holds the body of a model and no head; say what it is to do \(masked-lm, t"):
        load_encoder(tmp_path / "body")
    with pytest.raises(UserError, match="'translation' is no task of bert; it serves masked-lm, "):
        load_encoder(published, "translation")
    reference(tmp_path / "scores", "Bert", "ForSequenceClassification", problem_type="regression")
    with pytest.raises(UserError, match="describes a model for regression; classifiers here choose one class"):
        load_encoder(tmp_path / "scores")
    assert load_encoder(tmp_path / "scores", "tagging").task == "tagging"


def test_damaged_folders_are_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*config\.json"):
        load_encoder(tmp_path)
    copied(published, tmp_path)
    with pytest.raises(UserError, match=r"holds no weights.*model\.safetensors or pytorch_model\.bin"):
        load_encoder(tmp_path)
    for content in (b"", b"nonsense", (published / "model.safetensors").read_bytes()[:3000]):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(UserError, match=r"model\.safetensors cannot be read as weights"):
            load_encoder(tmp_path)


def test_names_of_labels(tmp_path: Path) -> None:
    reference(tmp_path, "Bert", "ForSequenceClassification", id2label={0: "good", 1: "bad", 2: "ugly"})
    assert load_encoder(tmp_path).labels == ["good", "bad", "ugly"]
    tensors = copied(tmp_path, tmp_path, id2label={"0": "good"})
    assert len(tensors["classifier.weight"]) == 3 and load_encoder(tmp_path).labels is None
