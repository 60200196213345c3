"""Image classification from settings to a run: the task's laws, what is fitted, training, use, and what is refused."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import Command, sets
from tiny_images import CLASSES, stripes, write_files, write_idx_set, write_splits
from torch import Tensor, nn

from allyouneed.data.gallery import Gallery, InMemory
from allyouneed.data.image_settings import AUGMENTATIONS, Augmentation
from allyouneed.data.pixels import Shape
from allyouneed.errors import UserError
from allyouneed.nn.heads import NO_SMOOTHING, Smoothing
from allyouneed.recipes.image_classification import KIND, prepare
from allyouneed.recipes.image_conclude import conclude
from allyouneed.recipes.image_fit import batch_for, of_side, paced
from allyouneed.recipes.image_run import ImageRun
from allyouneed.recipes.image_use import check_image_data, evaluate, predict_files
from allyouneed.recipes.job import build, make_settings
from allyouneed.recipes.jobs import JOBS
from allyouneed.records import read_metrics
from allyouneed.settings import override
from allyouneed.tasks.class_scores import class_scores, full_class_scores, interval
from allyouneed.tasks.image_classification import Batch, ImageClassificationTask, Learning, judge, smoothed
from allyouneed.training.engine import Engine
from allyouneed.training.progress import Silent

WORDS = [
    "model.dim=8", "model.order=b-b", "training.precision=float32", "training.learning_rate=0.02",
    "training.warmup_steps=2", "training.ema_decay=0.5", "training.max_steps=30", "training.validate_every=10",
    "training.log_every=5", "training.save_every=1000", "data.batch_size=16",
]  # fmt: skip


def gallery(images: np.ndarray, labels: Sequence[int]) -> Gallery:
    shape = Shape(images.shape[1], images.shape[2])
    return Gallery([str(i) for i in range(len(images))], np.array(labels), shape, InMemory(images), {})


def task_of(learning: Learning, count: int = 30) -> ImageClassificationTask:
    pixels = np.concatenate([stripes(kind, count, channels=1)[:, None] for kind in CLASSES])
    train = gallery(pixels, [0] * count + [1] * count)
    return ImageClassificationTask(
        train, gallery(pixels[::5], [0] * (count // 5) + [1] * (count // 5)), CLASSES, learning
    )


class Brightness(nn.Module):
    """A model that can be worked out by hand: logits (mean, -mean) of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        mean = self.scale * images.mean((1, 2, 3))
        return torch.stack([mean, -mean], 1)


# ---- the task --------------------------------------------------------------------------------------------------------


def test_batches_are_a_pure_function_of_seed_and_epoch() -> None:
    task, again = (task_of(Learning(12, batch_size=16, seed=3)) for _ in range(2))
    for epoch in (0, 1):
        plan = task.plan(epoch)
        assert all(np.array_equal(a, b) for a, b in zip(plan, again.plan(epoch), strict=True))
        assert sorted(np.concatenate(plan).tolist()) == list(range(60))
        assert {len(batch) for batch in plan} == {15}  # never a last batch of a few
    assert not np.array_equal(task.plan(0)[0], task.plan(1)[0])
    assert not np.array_equal(task.plan(0)[0], task_of(Learning(12, batch_size=16, seed=4)).plan(0)[0])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_examples_are_a_pure_function_of_seed_and_epoch(name: str) -> None:
    learning = Learning(12, augmentation=AUGMENTATIONS[name], smoothing=Smoothing.named("torch", 0.1, 2))
    task, rows = task_of(learning), np.arange(20, 40)
    first, again = (task_of(learning).example(task.collate(rows, 5)) for _ in range(2))
    assert torch.equal(first.images, again.images) and torch.equal(first.targets, again.targets)
    assert first.images.shape == (20, 1, 12, 12) and first.images.dtype == torch.float32
    torch.testing.assert_close(first.targets.sum(1), torch.ones(20))
    if name != "none":
        assert not torch.equal(first.images, task.example(task.collate(rows, 6)).images)


@pytest.mark.parametrize("convention", ["torch", "fairseq"])
def test_smoothed_targets(convention: str) -> None:
    targets = smoothed(torch.tensor([2, 0, -1]), 4, Smoothing.named(convention, 0.2, 4))
    right, other = (0.85, 0.05) if convention == "torch" else (0.8, 0.2 / 3)
    torch.testing.assert_close(targets, torch.tensor([[other, other, right, other], [right] + [other] * 3, [0.0] * 4]))


def test_the_loss_by_hand() -> None:
    """Two images of one value each, smoothing 0.2: -sum(target log p), p = softmax(m, -m)."""
    images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1) * np.ones((1, 1, 4, 4), np.uint8)
    learning = Learning(4, smoothing=Smoothing.named("torch", 0.2, 2))
    task = ImageClassificationTask(gallery(images, [0, 0]), gallery(images, [0, 0]), CLASSES, learning)
    total, sums = task.loss(Brightness(), task.collate(np.arange(2), 0), "model")
    wanted = sum(
        -0.9 * math.log(1 / (1 + math.exp(-2 * m))) - 0.1 * math.log(1 / (1 + math.exp(2 * m))) for m in (-1, 1)
    )
    assert total.item() == pytest.approx(wanted, rel=1e-5) and float(sums["accuracy"]) == 1.0
    total.backward()


def test_the_loss_equals_torchs_cross_entropy() -> None:
    task = task_of(Learning(12, smoothing=Smoothing.named("torch", 0.1, 2)))
    batch, model = task.collate(np.arange(60), 0), nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    total, _ = task.loss(model, batch, "model")
    logits = model(task.example(batch).images)
    torch.testing.assert_close(
        total, nn.functional.cross_entropy(logits, batch.labels, label_smoothing=0.1, reduction="sum")
    )


def test_an_image_that_went_teaches_nothing() -> None:
    task = task_of(Learning(12, smoothing=Smoothing.named("torch", 0.1, 2)))
    whole, model = task.collate(np.arange(8), 0), nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    labels = whole.labels.clone()
    labels[3] = -1
    less = task.loss(model, whole._replace(labels=labels), "model")[0]
    rows = np.array([0, 1, 2, 4, 5, 6, 7])
    torch.testing.assert_close(less, task.loss(model, task.collate(rows, 0), "model")[0])


def test_judging_leaves_the_mode_and_the_order_alone() -> None:
    task, model = task_of(Learning(12, batch_size=4)), Brightness().train()
    logits, labels = judge(model, task.val, task.learning)
    assert model.training and labels.tolist() == [0] * 6 + [1] * 6
    pixels = torch.from_numpy(task.val.pixels(np.arange(12)).images)
    torch.testing.assert_close(logits[:, 0], ((pixels / 255 - 0.5) / 0.5).mean((1, 2, 3)))


def test_judging_drops_nothing_out() -> None:
    task, model = (
        task_of(Learning(12)),
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144), nn.Dropout(0.5), nn.Linear(144, 2)),
    )
    found = judge(model, task.val, task.learning)[0]
    assert torch.equal(found, judge(model, task.val, task.learning)[0])
    assert torch.equal(found, judge(model.eval(), task.val, task.learning)[0])


# ---- scores ----------------------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    """Three classes, six images and one that could not be read; class 3 of 4 neither occurs nor is predicted."""
    found, true = [0, 0, 1, 1, 2, 2, 0], [0, 1, 1, 1, 2, 0, -1]
    logits = torch.full((7, 4), -4.0).scatter(1, torch.tensor(found)[:, None], 4.0)
    scores = class_scores(logits, torch.tensor(true))
    # Precision and recall: class 0: 1/2, 1/2; class 1: 2/2, 2/3; class 2: 1/2, 1/1.
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["macro_f1"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    right, wrong = -math.log(1 / (1 + 3 * math.exp(-8))), 8 - math.log(1 / (1 + 3 * math.exp(-8)))
    assert scores["dev_nll"] == pytest.approx((4 * right + 2 * wrong) / 6, rel=1e-4)
    assert "top5" not in scores


def test_scores_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(300, 9)), draw.integers(0, 8, 300)
    scores = full_class_scores(torch.from_numpy(logits), torch.from_numpy(labels))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(labels, logits.argmax(1)))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, logits.argmax(1), average="macro"))
    assert scores["top5"] == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(9)))
    assert scores["images"] == 300


def test_the_interval() -> None:
    """Wilson's interval is where a test of p would not refuse the share: both ends solve |share - p| = z sd(p)."""
    for right, count in ((0, 10), (7, 10), (9400, 10_000)):
        for p in interval(right, count):
            if 0 < p < 1:
                assert abs(right / count - p) == pytest.approx(1.96 * math.sqrt(p * (1 - p) / count), rel=1e-6)
    assert interval(0, 10)[0] == 0 and interval(10, 10)[1] == 1 and interval(0, 0) == (0.0, 1.0)


# ---- what is fitted --------------------------------------------------------------------------------------------------


def prepared(path: Path, out: Path, *words: str, model: str = "cnn", preset: str | None = "tiny") -> Any:
    out.mkdir(exist_ok=True)
    return prepare(make_settings(KIND, model, preset, "default", [f"data.path={path}", *words]), out, False)


def test_settings_are_fitted_to_the_images(tmp_path: Path) -> None:
    done = prepared(write_splits(tmp_path / "set"), tmp_path / "run")
    s = done.settings
    assert (s.model.classes, s.model.channels, s.model.image_size) == (2, 3, 12)
    assert (s.data.image_size, s.data.channels, s.data.batch_size) == (12, 3, 16) and s.augment.preset == "shift"
    pixels = done.task.train.pixels(np.arange(48)).images / 255
    np.testing.assert_allclose(s.data.mean, pixels.mean((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(s.data.std, pixels.std((0, 2, 3)), atol=1e-4)
    assert s.training.max_epochs == 30 and s.training.validate_every == 102  # the preset's; 48 images are 3 updates
    assert paced(override(s, ["training.max_epochs=null"]), 48).training.max_epochs == 300
    facts = json.loads((tmp_path / "run/data.json").read_text())
    assert facts["classes"] == list(CLASSES) and facts["train"] == 48
    assert "48 training images, 12 for validation, 2 classes, 12 x 12 in colour" in done.notes[0]


def test_grey_sets_are_read_in_grey(tmp_path: Path) -> None:
    grey = prepared(write_idx_set(tmp_path / "idx"), tmp_path / "run").settings
    assert grey.data.channels == grey.model.channels == 1 and len(grey.data.mean) == 1
    asked = prepared(write_idx_set(tmp_path / "idx"), tmp_path / "run", "data.channels=3").task
    assert asked.train.pixels(np.arange(2)).images.shape == (2, 3, 12, 12)


def test_photographs_get_room_to_crop_larger_patches_and_a_stem(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "photos", 4, side=160, suffix="jpg")
    done = prepared(folder, tmp_path / "a", "model.dim=16", "model.heads=2", "model.depth=1", model="vit", preset=None)
    assert done.settings.data.image_size == 128 and done.settings.model.patch == 16
    assert done.settings.augment.preset == "photos"
    assert done.task.train.shape.side == 146 and done.task.val.shape.side == 128
    example = done.task.example(done.task.collate(np.arange(2), 0))
    assert build(KIND, done.settings)(example.images).shape == (2, 2)
    kept = prepared(folder, tmp_path / "b", "model.patch=32", "model.dim=16", "model.heads=2", model="vit", preset=None)
    assert kept.settings.model.patch == 32
    assert prepared(folder, tmp_path / "c").settings.model.stem == "imagenet"
    assert prepared(folder, tmp_path / "d", "model.stem=small").settings.model.stem == "small"


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (28, 4), (32, 4), (64, 8), (128, 16), (224, 32)])
def test_patches_grow_with_images(side: int, patch: int) -> None:
    assert of_side(make_settings(KIND, "vit", None, "default", []), side).model.patch == patch
    given = make_settings(KIND, "vit", None, "default", ["model.patch=4"])  # and not where one is given
    assert of_side(given, side).model.patch == 4


def test_a_size_of_ones_own_images_is_made_to_fit(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "odd", 12, side=30)
    assert prepared(folder, tmp_path / "run", model="vit", preset=None).settings.data.image_size == 32
    with pytest.raises(UserError, match=r"image_size 30 cannot be cut into squares of 4 pixels .* 28 and 32"):
        prepared(folder, tmp_path / "run", "data.image_size=30", model="vit", preset=None)


def test_pace() -> None:
    settings = make_settings(KIND, "cnn", None, "default", ["data.batch_size=128"])
    large, small = paced(settings, 55_000).training, paced(settings, 1_000).training
    assert (large.max_epochs, large.validate_every) == (30, 0)  # an epoch is 430 updates
    assert (small.max_epochs, small.validate_every) == (300, 104)  # and here 8
    limited = paced(override(settings, ["training.max_minutes=3"]), 1_000).training
    assert limited.max_epochs is None and limited.validate_every == 104
    assert [batch_for(n) for n in (1, 500, 1500, 4096, 10**6)] == [16, 16, 32, 128, 128]


def test_wrong_means_and_stds(tmp_path: Path) -> None:
    folder = write_idx_set(tmp_path / "idx")
    with pytest.raises(UserError, match=r"data.mean has 3 values and the images 1 channel"):
        prepared(folder, tmp_path / "run", "data.mean=[0.5, 0.5, 0.5]")
    with pytest.raises(UserError, match="std must be above 0"):
        prepared(folder, tmp_path / "run", "data.std=[0]")


def test_too_few_to_hold_any_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image can be held out"):
        prepared(write_files(tmp_path / "set", 1), tmp_path / "run")


def test_other_data_is_no_resume(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    settings = prepared(folder, tmp_path / "run").settings
    prepare(settings, tmp_path / "run", True)
    (folder / "train/down/0.png").unlink()
    with pytest.raises(UserError, match="is not that with which"):
        prepare(settings, tmp_path / "run", True)


# ---- a run -----------------------------------------------------------------------------------------------------------


def trained(path: Path, out: Path, *words: str) -> list[str]:
    """What `allyouneed train image-classification` does, without a terminal; what it says at the end."""
    done = prepared(path, out, *WORDS, *words)
    torch.manual_seed(done.settings.training.seed)
    engine = Engine(build(KIND, done.settings), done.task, done.settings.training, out, Silent(), 8)
    engine.run()
    return conclude(out, done.task)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `set` with broken files among its images, and a run `run` that has learnt the others; not to be changed."""
    place = tmp_path_factory.mktemp("images")
    folder = write_splits(place / "set")
    (folder / "train/down/0.png").write_bytes(b"no image")
    (place / "said.txt").write_text("\n".join(trained(folder, place / "run")))
    return place


def test_it_learns(run: Path) -> None:
    opened = ImageRun(run / "run")
    scores = opened.evaluate("test")
    assert scores["accuracy"] >= 0.95 and scores["images"] == 12 and scores["split"] == "test"
    assert {"accuracy", "macro_f1", "nll", "accuracy_low", "accuracy_high"} <= scores.keys()
    assert evaluate(run / "run", run / "set", "val")["images"] == 12
    lines = read_metrics(run / "run")
    assert {"loss", "accuracy"} <= {key for line in lines if line["kind"] == "train" for key in line}
    assert all(0 <= line["accuracy"] <= 1 for line in lines)


def test_one_image_in_every_form(run: Path) -> None:
    """A file, its path as text, Pillow's image, bytes and tensors of one picture give one answer."""
    opened, path = ImageRun(run / "run"), run / "set/test/down/1.png"
    pixels = np.asarray(Image.open(path))
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    forms: list[Any] = [path, str(path), Image.open(path), pixels, tensor, tensor / 255]
    answers = [opened.predict(form, top_k=2) for form in forms]
    assert all(answer == answers[0] for answer in answers) and answers[0][0].label == "down"
    assert sum(best.probability for best in answers[0]) == pytest.approx(1)
    assert opened.predict(forms, top_k=1) == [answer[:1] for answer in answers]
    assert opened.predict(np.stack([pixels, pixels]), top_k=2) == answers[:2]
    assert opened.predict([]) == []


def test_predicting_is_what_evaluating_does(run: Path) -> None:
    opened = ImageRun(run / "run")
    found = opened.judged("test")
    files = [run / "set" / name for name in found.gallery.names]
    torch.testing.assert_close(opened.probabilities(files), found.logits.softmax(-1))


def test_a_grey_and_a_transparent_image_are_read_as_well(run: Path, tmp_path: Path) -> None:
    opened = ImageRun(run / "run")
    for mode in ("L", "LA", "RGBA", "P", "CMYK"):
        suffix = "jpg" if mode == "CMYK" else "png"
        Image.open(run / "set/test/down/1.png").convert(mode).save(tmp_path / f"{mode}.{suffix}")
        assert len(opened.predict(tmp_path / f"{mode}.{suffix}", top_k=2)) == 2


def test_arrays_that_are_no_images(run: Path) -> None:
    opened = ImageRun(run / "run")
    for wrong, shape in ((np.zeros((4, 4, 5), np.uint8), "4 x 4 x 5"), (np.zeros((4, 4)), "float64"),
                         (torch.zeros(7, 4, 4), "4 x 4 x 7")):  # fmt: skip
        with pytest.raises(UserError, match=shape):
            opened.predict(wrong)


def test_predicting_files_and_folders(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = ImageRun(run / "run")
    shutil.copytree(run / "set/test/down", tmp_path / "photos")
    (tmp_path / "photos/torn.png").write_bytes((tmp_path / "photos/0.png").read_bytes()[:80])
    lines = predict_files(opened, [tmp_path / "photos"], 2)
    assert len(lines) == 6 and lines[0].split()[1] == "down" and "%" in lines[0]
    assert "torn.png cannot be read" in capsys.readouterr().err
    rows = json.loads("\n".join(predict_files(opened, [tmp_path / "photos/3.png", tmp_path / "photos/4.png"], 5, True)))
    assert [row["file"] for row in rows] == [str(tmp_path / "photos/3.png"), str(tmp_path / "photos/4.png")]
    assert [best["label"] for best in rows[0]["predictions"]] == ["down", "across"]


def test_files_that_cannot_be_predicted(run: Path, tmp_path: Path) -> None:
    opened = ImageRun(run / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.png").write_text("<html>")
    torn = tmp_path / "torn.png"
    torn.write_bytes((run / "set/test/down/0.png").read_bytes()[:80])
    for place, says in (
        ([tmp_path / "none.png"], r"none.png cannot be read \(no such file or directory\)"),
        ([tmp_path / "page.png"], r"page.png cannot be read \(no image\)"),
        ([torn], "torn.png cannot be read"),
        ([tmp_path / "empty"], "holds no image files"),
        ([], "nothing to recognise"),
    ):
        with pytest.raises(UserError, match=says):
            predict_files(opened, place)


def test_evaluating_what_it_does_not_know(run: Path, tmp_path: Path) -> None:
    other = write_splits(tmp_path / "other")
    (other / "test/down").rename(other / "test/askew")
    with pytest.raises(UserError, match="test has the class 'askew', but the model was trained on 2 classes"):
        evaluate(run / "run", other)
    with pytest.raises(UserError, match="there is no split 'exam'"):
        evaluate(run / "run", run / "set", "exam")
    (run / "set/test/down/5.png").rename(tmp_path / "5.png")
    (run / "set/test/down/5.png").write_bytes(b"")
    scores = evaluate(run / "run")
    shutil.move(tmp_path / "5.png", run / "set/test/down/5.png")
    assert (scores["images"], scores["broken"]) == (11, 1) and "5.png (no image)" in scores["broken_files"]


def test_the_report_tells_it_all(run: Path) -> None:
    said, page = (run / "said.txt").read_text(), (run / "run/report.html").read_text()
    assert str(run / "run/report.html") in said and "allyouneed predict" in said
    for name in ("scores", "learning", "confusion", "training", "broken", "settings", "next"):
        assert f'id="{name}"' in page
    assert "train/down/0.png" in page and "no image" in page and "src=" not in page
    for name in ("confusion.svg", "augmented.svg", "learning_curve.svg"):
        assert (run / "run" / name).read_text().startswith("<?xml")
    assert page.count("data:image/png") >= 16  # the first batch


def test_damaged_runs(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "run", tmp_path / "run")
    facts = json.loads((tmp_path / "run/data.json").read_text())
    (tmp_path / "run/data.json").write_text(json.dumps({**facts, "classes": ["a", "b", "c"]}))
    with pytest.raises(UserError, match=r"names 3 classes and the model of config\.yaml has 2"):
        ImageRun(tmp_path / "run")
    (tmp_path / "run/data.json").unlink()
    with pytest.raises(UserError, match=r"data.json is missing or damaged"):
        ImageRun(tmp_path / "run")


def test_a_whole_augmentation_trains_in_bfloat16(tmp_path: Path) -> None:
    """All that augmentation can do, mixed labels and half the precision: the loss stays a number and falls."""
    words = ["augment.preset=strong", "training.precision=bfloat16", "training.max_steps=6", "augment.colour=0.2",
             "augment.shift=0.1", "training.log_every=1"]  # fmt: skip
    trained(write_splits(tmp_path / "set", 16, 2), tmp_path / "run", *words)
    losses = [line["loss"] for line in read_metrics(tmp_path / "run") if line["kind"] == "train"]
    assert len(losses) == 6 and all(math.isfinite(loss) for loss in losses)


def test_cached_and_streamed_training_are_the_same(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set", 12, 3)
    found = []
    for cache in (1, 0):
        trained(
            folder, tmp_path / f"run{cache}", f"data.cache_gb={cache}", "training.max_steps=5", "training.log_every=1"
        )
        found.append([line["loss"] for line in read_metrics(tmp_path / f"run{cache}") if line["kind"] == "train"])
    assert found[0] == found[1]


def test_the_check_on_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_image_data(run / "set") == 0
    told = capsys.readouterr().out
    assert "0.png (no image)" in " ".join(told.split()) and "0 error(s), 1 warning(s)" in told
    assert check_image_data(run / "set/train/down") == 1


def test_nothing_varied_is_nothing_drawn() -> None:
    """With no augmentation training sees what validation sees."""
    task = task_of(Learning(12, augmentation=Augmentation(), smoothing=NO_SMOOTHING))
    batch: Batch = task.collate(np.arange(0, 60, 5), 9)
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    torch.testing.assert_close(model(task.example(batch).images), judge(model, task.val, task.learning)[0])


# ---- the command line ------------------------------------------------------------------------------------------------

wired = pytest.mark.skipif("image-classification" not in JOBS, reason="the command is not there yet")
TRAIN = ("train", "image-classification", "--model", "cnn", "--preset", "tiny", *sets(*WORDS))


@wired
def test_the_commands(command: Command, tmp_path: Path) -> None:
    data, out = write_splits(tmp_path / "set"), tmp_path / "run"
    code, _, told = command(*TRAIN, "--data", data, "--out", out)
    assert code == 0 and "48 training images" in told and (out / "report.html").exists()
    code, scores, _ = command("evaluate", out, "--split", "val", "--json")
    assert code == 0 and json.loads(scores)["accuracy"] > 0.9
    code, answer, _ = command("predict", out, data / "test/down/1.png", "--top-k", 2, "--json")
    assert code == 0 and [best["label"] for best in json.loads(answer)[0]["predictions"]] == ["down", "across"]
    code, _, told = command(*TRAIN, "--out", out, "--resume", "--set", "training.max_steps=40")
    assert code == 0 and "resuming" in told


@wired
def test_what_the_command_refuses(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    odd = write_files(tmp_path / "odd", 4, side=30)
    shutil.copytree(odd / "down", tmp_path / "one/down")
    for data, words, says in (
        (tmp_path / "none", (), "there is no file or folder"),
        (tmp_path / "empty", (), "holds no images"),
        (tmp_path / "one", (), "only one class, 'down'"),
        (odd, ("data.image_size=30", "data.channels=3"), "the nearest that can: 28 and 32"),
        (odd, ("data.channels=2",), "data.channels"),
    ):
        given = (
            "train",
            "image-classification",
            "--model",
            "vit",
            "--data",
            data,
            "--out",
            tmp_path / "run",
            *sets(*words),
        )
        assert says in command.refuses(*given)
        assert not (tmp_path / "run").exists()
