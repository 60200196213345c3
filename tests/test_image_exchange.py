"""Image classifiers come in and go out by the command line: Hugging Face's folders, Google's .npz, ONNX."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_vit import official
from tiny import Command
from tiny_images import stripes

from allyouneed import load

LABELS = {0: "across", 1: "down", 2: "斜"}


def published(folder: Path) -> Any:
    """A tiny ViT with random weights, saved as transformers saves it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24, image_size=12, patch_size=4,
        num_channels=3, id2label=LABELS, label2id={name: i for i, name in LABELS.items()},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    scaling = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(scaling))
    return model


def pictures() -> tuple[np.ndarray, torch.Tensor]:
    """Pixels, and the same as the published model takes them."""
    pixels = stripes("across", 4)
    scaled = torch.from_numpy(pixels).movedim(-1, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    return pixels, (scaled - mean) / std


def test_a_published_folder_predicts_as_it_did_and_goes_back(command: Command, tmp_path: Path) -> None:
    theirs = published(tmp_path / "hub")
    said = command("import", tmp_path / "hub", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    run, (pixels, scaled) = load(tmp_path / "run"), pictures()
    assert run.classes == list(LABELS.values())
    with torch.no_grad():
        expected = theirs(scaled).logits.softmax(-1)
    torch.testing.assert_close(run.probabilities(list(pixels)), expected, atol=1e-5, rtol=1e-5)
    assert command("export", tmp_path / "run", "--to", "huggingface", "--output", tmp_path / "back").code == 0
    again = type(theirs).from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(scaled).logits.softmax(-1), expected, atol=1e-6, rtol=1e-5)
    assert again.config.id2label == LABELS
    processor = json.loads((tmp_path / "back" / "preprocessor_config.json").read_text())
    assert processor["image_mean"] == [0.4, 0.5, 0.6] and processor["size"] == {"height": 12, "width": 12}


def test_an_imported_run_leaves_as_a_graph(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from allyouneed.weights.onnx_image import OnnxClassifier

    published(tmp_path / "hub")
    assert command("import", tmp_path / "hub", "--out", tmp_path / "run").code == 0
    assert command("export", tmp_path / "run", "--to", "onnx", "--output", tmp_path / "onnx").code == 0
    graph, (_, scaled) = OnnxClassifier(tmp_path / "onnx", threads=1), pictures()
    with torch.no_grad():
        expected = load(tmp_path / "run", "cpu").model(scaled)
    torch.testing.assert_close(graph(scaled), expected, atol=1e-4, rtol=1e-4)
    assert graph.facts["labels"] == list(LABELS.values())
    sentence = command.refuses("export", tmp_path / "run", "--to", "ctranslate2")
    assert "choose one of huggingface, onnx" in sentence


def test_an_official_file_becomes_a_run(command: Command, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **official())
    assert command("import", tmp_path / "a.npz", "--out", tmp_path / "run").code == 0
    run = load(tmp_path / "run")
    (best, *_), classes = run.predict(stripes("down", 1)[0]), run.settings.model.classes
    assert best.label in {str(i) for i in range(classes)} and run.settings.data.mean == (0.5, 0.5, 0.5)


def test_what_cannot_come_in_or_go_out_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no arrays")
    assert "cannot be read as arrays" in command.refuses("import", tmp_path / "a.npz", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    published(tmp_path / "hub")
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    (tmp_path / "hub" / "config.json").write_text(json.dumps({**config, "num_channels": 2}))
    command.refuses("import", tmp_path / "hub", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
