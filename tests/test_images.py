"""Images read: every layout, every kind of file, whole splits, and one sentence for whatever is wrong."""

import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_images import CLASSES, stripes, write_files, write_idx, write_idx_set, write_splits

from allyouneed.data import image_arrays
from allyouneed.data.gallery import InMemory, OnDemand, open_gallery
from allyouneed.data.image_arrays import read_idx
from allyouneed.data.image_check import check_images, looks_like_images
from allyouneed.data.image_files import Images
from allyouneed.data.image_settings import ImageSettings
from allyouneed.data.image_splits import hold_out
from allyouneed.data.images import ImageCorpus, look_at, natural_side, read_images
from allyouneed.data.pixels import Shape, Unreadable, decode, read_header
from allyouneed.errors import UserError


def read(path: Path, **more: object) -> ImageCorpus:
    return read_images(ImageSettings(path=str(path), **more))  # type: ignore[arg-type]


def refusal(path: Path, **more: object) -> str:
    with pytest.raises(UserError) as fault:
        read(path, **more)
    return str(fault.value)


def count(corpus: ImageCorpus) -> dict[str, int]:
    return {"train": len(corpus.train), "val": len(corpus.val), **{k: len(v) for k, v in corpus.tests.items()}}


# ---- layouts ---------------------------------------------------------------------------------------------------------


def test_a_folder_with_its_splits(tmp_path: Path) -> None:
    corpus = read(write_splits(tmp_path / "set"))
    assert corpus.classes == list(CLASSES) and count(corpus) == {"train": 48, "val": 12, "test": 12}
    assert corpus.train.names[0] == "train/across/0.png" and corpus.train.labels[:24] == ["across"] * 24


@pytest.mark.parametrize("name", ["valid", "validation", "dev"])
def test_other_names_of_val(tmp_path: Path, name: str) -> None:
    folder = write_splits(tmp_path / "set")
    (folder / "val").rename(folder / name)
    assert count(read(folder)) == {"train": 48, "val": 12, "test": 12}


def test_class_folders_are_split_by_the_seed(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "set", 50)
    corpus = read(folder)
    assert count(corpus) == {"train": 80, "val": 10, "test": 10}
    parts = [set(part.names) for part in (corpus.train, corpus.val, corpus.tests["test"])]
    assert len(set.union(*parts)) == 100
    assert all(part.labels.count("down") == part.labels.count("across") for part in (corpus.val, corpus.tests["test"]))
    assert read(folder).val.names == corpus.val.names
    assert read(folder, split_seed=2).val.names != corpus.val.names


def test_what_was_held_out_stays_so_when_images_are_added(tmp_path: Path) -> None:
    """None of the test images may move into train, or a model that goes on learning would have seen its test."""
    folder = write_files(tmp_path / "set", 60)
    before = set(read(folder).tests["test"].names)
    for i in range(3):
        Image.fromarray(stripes("down", 3, seed=7)[i]).save(folder / "down" / f"more{i}.png")
    after = read(folder)
    assert len(before & set(after.train.names)) <= 1 and len(before & set(after.tests["test"].names)) >= 10


def test_copies_are_never_split(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "set", 20)
    for i in range(20):
        shutil.copy(folder / "down" / f"{i}.png", folder / "down" / f"copy of {i}.png")
    corpus = read(folder)
    held = [set(part.keys()) for part in (corpus.train, corpus.val, corpus.tests["test"])]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])


def test_every_class_stays_in_train() -> None:
    labels = ["rare", "pair", "pair", *["many"] * 30]
    parts = hold_out(labels, [str(i).encode() for i in range(33)], 2, seed=1)
    assert parts[0] == 0 and (parts[1:3] == 0).sum() == 1 and np.bincount(parts[3:]).tolist() == [24, 3, 3]


def test_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "2"):
        write_files(tmp_path / "made" / name, 2)
        shutil.move(tmp_path / "made" / name / "down", tmp_path / "set" / name)
    assert read(tmp_path / "set").classes == ["2", "9", "10"]


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    for name in (".DS_Store", "._0.png", "notes.txt", "clip.mp4"):
        (folder / "train" / "down" / name).write_bytes(b"x")
    (folder / "train" / "lost.png").write_bytes(b"x")
    corpus = read(folder)
    assert count(corpus)["train"] == 48
    assert corpus.left_out == {".txt": 1, ".mp4": 1, "in no class folder": 1}


def test_only_a_part_of_train(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    some = read(folder, max_images=10).train
    assert len(some) == 10 and set(some.names) < set(read(folder).train.names)
    assert read(folder, max_images=10).train.names == some.names


# ---- CSV -------------------------------------------------------------------------------------------------------------


def test_csv_of_paths_and_labels(tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", 20)
    lines = [f"pictures/{kind}/{i}.png,{kind}" for kind in CLASSES for i in range(20)]
    (tmp_path / "list.csv").write_text("file,label\n" + "\n".join(lines))
    corpus = read(tmp_path / "list.csv")
    assert count(corpus) == {"train": 32, "val": 4, "test": 4} and corpus.classes == list(CLASSES)
    assert len(open_gallery(corpus.train, corpus.classes, Shape(3, 8))) == 32


def test_csv_with_splits_and_named_columns(tmp_path: Path) -> None:
    write_files(tmp_path, 6)
    rows = [
        f"{kind}/{i}.png;{kind};{'train' if i < 4 else 'valid' if i < 5 else 'test'}"
        for kind in CLASSES
        for i in range(6)
    ]
    (tmp_path / "list.csv").write_text("Bild;Art;split\n" + "\n".join(rows))
    corpus = read(tmp_path / "list.csv", image_column="Bild", label_column="Art")
    assert count(corpus) == {"train": 8, "val": 2, "test": 2}
    assert "no column named" in refusal(tmp_path / "list.csv") and "'Bild'" in refusal(tmp_path / "list.csv")
    assert "no column 'x'" in refusal(tmp_path / "list.csv", image_column="x", label_column="Art")


def test_csv_with_a_hole(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.png,cat\nb.png,\n")
    assert "row 3" in refusal(tmp_path / "list.csv")


# ---- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path: Path, suffix: str) -> None:
    corpus = read(write_idx_set(tmp_path / "set", suffix=suffix))
    assert count(corpus) == {"train": 44, "val": 4, "test": 12} and corpus.classes == ["0", "1"]
    pixels = np.concatenate([stripes(kind, 24, channels=1) for kind in CLASSES])
    for i in (0, 20, 43):
        number = int(corpus.train.names[i].split("[")[1][:-1])
        assert np.array_equal(corpus.train.sources[i], pixels[number])
        assert corpus.train.labels[i] == str(number // 24)


def test_idx_of_other_types(tmp_path: Path) -> None:
    values = np.array([[-2, 300], [5, 70_000]])
    (tmp_path / "x").write_bytes(struct.pack(">BBBB2I4i", 0, 0, 12, 2, 2, 2, *values.flatten()))
    assert np.array_equal(read_idx(tmp_path / "x"), values)


def test_idx_classes_get_names(tmp_path: Path) -> None:
    folder = write_idx_set(tmp_path / "set")
    assert read(folder, class_names="lying, standing").classes == ["lying", "standing"]
    assert "'1'" in refusal(folder, class_names="lying")


def test_broken_idx(tmp_path: Path) -> None:
    folder = write_idx_set(tmp_path / "set", suffix="")
    images = folder / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:-1])
    assert f"{images} is damaged: its head says 48 x 12 x 12, but 6,911 bytes follow" == refusal(folder)
    images.write_bytes(b"PK" + whole)
    assert "is no IDX file" in refusal(folder)
    images.write_bytes(whole[:9])
    assert "breaks off" in refusal(folder)
    images.unlink()
    assert "has no images beside it" in refusal(folder)


def test_idx_that_do_not_belong_together(tmp_path: Path) -> None:
    folder = write_idx_set(tmp_path / "set", suffix="")
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros(3))
    assert "48 images" in refusal(folder) and "3 labels" in refusal(folder)
    write_idx(folder / "train-images-idx3-ubyte", np.zeros(3))
    assert "no images of bytes" in refusal(folder)
    write_idx_set(folder, suffix=".gz")
    (folder / "train-letters-images-idx3-ubyte").write_bytes(b"")
    assert "two sets" in refusal(folder)


def test_a_torn_gz_is_named(tmp_path: Path) -> None:
    folder = write_idx_set(tmp_path / "set")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-40])
    assert str(path) in refusal(folder) and "truncated" in refusal(folder)


def test_digits() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    corpus = read_images(ImageSettings())
    assert count(corpus) == {"train": 1439, "val": 179, "test": 179} and corpus.classes == [str(i) for i in range(10)]
    theirs = datasets.load_digits()
    for i in (0, 700, 1438):
        number = int(corpus.train.names[i][7:-1])
        assert np.array_equal(corpus.train.sources[i], np.rint(theirs.images[number] * 255 / 16))
        assert corpus.train.labels[i] == str(theirs.target[number])


def test_digits_do_not_import_scikit_learn_and_say_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = "sklearn" in sys.modules
    if image_arrays.importlib.util.find_spec("sklearn"):
        read_images(ImageSettings())
        assert ("sklearn" in sys.modules) == before
    monkeypatch.setattr(image_arrays.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install scikit-learn"):
        read_images(ImageSettings(path="digits"))


# ---- kinds of files --------------------------------------------------------------------------------------------------


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


GREY = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (16, 1))  # brighter to the right


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(np.stack([GREY, GREY // 2, 255 - GREY], -1)))
    pixels = decode(path, Shape(3, 16)).astype(int)
    assert pixels.shape == (3, 16, 16)
    assert np.abs(pixels[0] - GREY).mean() < 12 and np.abs(pixels[2] - (255 - GREY)).mean() < 12
    assert read_header(path) == (16, 16, False)
    assert (
        np.abs(
            decode(path, Shape(1, 16))[0].astype(int) - (0.299 * GREY + 0.587 * (GREY // 2) + 0.114 * (255.0 - GREY))
        ).mean()
        < 6
    )


def test_grey_as_colour(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(GREY))
    pixels = decode(path, Shape(3, 16))
    assert np.array_equal(pixels[0], GREY) and np.array_equal(pixels[1], GREY) and read_header(path).grey


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_becomes_white(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(GREY).convert(mode)
    image.putalpha(Image.fromarray(np.where(GREY > 100, 255, 0).astype(np.uint8)))
    pixels = decode(saved(tmp_path / "a.png", image), Shape(1, 16))[0]
    assert np.array_equal(pixels, np.where(GREY > 100, GREY, 255))


def test_palettes(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 10, 30])
    assert decode(saved(tmp_path / "a.png", image), Shape(3, 8))[:, 0, 0].tolist() == [200, 10, 30]
    image.putpixel((0, 0), 0)
    pixels = decode(saved(tmp_path / "b.png", image, transparency=0), Shape(3, 8))
    assert pixels[:, 0, 0].tolist() == [255, 255, 255] and pixels[:, 1, 1].tolist() == [200, 10, 30]


def test_sixteen_bits(tmp_path: Path) -> None:
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    for suffix in ("png", "tif"):
        path = saved(tmp_path / f"a.{suffix}", deep)
        assert np.array_equal(decode(path, Shape(1, 16))[0], GREY) and read_header(path).grey


def test_floats_and_bits(tmp_path: Path) -> None:
    unit = saved(tmp_path / "a.tif", Image.fromarray((GREY / 255).astype(np.float32)))
    assert np.array_equal(decode(unit, Shape(1, 16))[0], GREY)
    bits = saved(tmp_path / "b.png", Image.fromarray(GREY > 100))
    assert np.array_equal(decode(bits, Shape(1, 16))[0], np.where(GREY > 100, 255, 0))


def test_a_cameras_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    wide = np.zeros((8, 16), np.uint8)
    wide[:, :4] = 250  # its left becomes the top
    path = saved(tmp_path / "a.png", Image.fromarray(wide), exif=exif)
    assert read_header(path)[:2] == (8, 16)
    pixels = decode(path, Shape(1, 8, "stretch"))[0]
    assert pixels[0].min() > 200 and pixels[-1].max() < 50


def test_fits() -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    crop, pad, stretch = (decode(wide, Shape(1, 30, fit))[0] for fit in ("crop", "pad", "stretch"))
    assert crop.mean() > 190
    assert pad[:9].max() == 0 and pad[12:18, 12:18].min() > 190 and pad[15, 0] == 0
    assert stretch[:, 12:18].min() > 190 and stretch[:, :8].max() < 10
    zoomed = decode(np.pad(np.full((4, 4), 200, np.uint8), 4), Shape(1, 4, "crop", zoom=3.0))
    assert zoomed.mean() > 150 and decode(np.pad(np.full((4, 4), 200, np.uint8), 4), Shape(1, 4))[0].mean() < 60


def test_a_large_jpeg_is_shrunk_smoothly(tmp_path: Path) -> None:
    """Decoding at an eighth must not change what is seen: stripes of a pixel become their mean."""
    fine = np.tile(np.array([0, 255], np.uint8), (600, 300))
    path = saved(tmp_path / "a.jpg", Image.fromarray(fine), quality=95)
    pixels = decode(path, Shape(1, 32))[0]
    assert abs(pixels.mean() - 127.5) < 4 and pixels.std() < 20


# ---- broken files ----------------------------------------------------------------------------------------------------


def spoil(folder: Path) -> dict[str, str]:
    """Three unreadable files in train/down, and why they are."""
    place = folder / "train" / "down"
    (place / "0.png").write_bytes((place / "0.png").read_bytes()[:60])
    (place / "1.png").write_bytes(b"")
    (place / "2.png").write_text("<html>404 Not Found</html>")
    return {f"train/down/{i}.png": why for i, why in enumerate(("", "no image", "no image"))}


@pytest.mark.parametrize("cache", [1.0, 0.0])
def test_broken_images_are_left_out_and_named(tmp_path: Path, cache: float) -> None:
    folder = write_splits(tmp_path / "set")
    faults = spoil(folder)
    corpus = read(folder)
    gallery = open_gallery(corpus.train, corpus.classes, Shape(3, 12), cache)
    pixels = gallery.pixels(np.arange(len(gallery)))
    if cache:  # all are decoded
        assert len(gallery) == 45 and gallery.broken.keys() == faults.keys() and pixels.whole.all()
        assert isinstance(gallery.pixels, InMemory)
    else:  # the head of the torn file is whole, so it is found when it is asked for
        assert len(gallery) == 46 and gallery.broken.keys() == faults.keys() and pixels.whole.sum() == 45
        assert isinstance(gallery.pixels, OnDemand)
    assert all(why in gallery.broken[name] for name, why in faults.items())
    assert sum(gallery.labels == 1) == len(gallery) - 24


def test_a_file_that_goes_in_mid_epoch_does_no_harm(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    corpus = read(folder)
    gallery = open_gallery(corpus.train, corpus.classes, Shape(3, 12), cache_gb=0)
    (folder / "train" / "across" / "5.png").unlink()
    row = gallery.names.index("train/across/5.png")
    pixels = gallery.pixels(np.array([0, row, 30]))
    assert pixels.whole.tolist() == [True, False, True] and pixels.images[1].max() == 0
    assert list(gallery.broken) == ["train/across/5.png"] and "no such file" in gallery.broken["train/across/5.png"]


def test_memory_and_demand_give_the_same_pixels(tmp_path: Path) -> None:
    corpus = read(write_splits(tmp_path / "set"))
    cached, fresh = (open_gallery(corpus.train, corpus.classes, Shape(3, 10), cache) for cache in (1.0, 0.0))
    for rows in (np.arange(5), np.array([40, 3])):
        fresh.pixels.expect(rows)
        assert np.array_equal(cached.pixels(rows).images, fresh.pixels(rows).images)
    assert not fresh.pixels.ahead  # type: ignore[attr-defined]


def test_nothing_readable(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set", 2)
    for path in (folder / "train").rglob("*.png"):
        path.write_bytes(b"no")
    corpus = read(folder)
    with pytest.raises(UserError, match=r"none of the 4 images can be read: train/across/0.png \(no image\)"):
        open_gallery(corpus.train, corpus.classes, Shape(3, 12))


def test_every_truncation_is_an_unreadable_or_an_image(tmp_path: Path) -> None:
    """Wherever a file is torn, there is an answer and no crash."""
    for suffix in ("png", "jpg", "webp", "gif", "tif", "bmp"):
        path = saved(tmp_path / f"a.{suffix}", Image.fromarray(stripes("down", 1)[0]))
        whole = path.read_bytes()
        for length in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:length])
            try:
                assert decode(path, Shape(3, 8)).shape == (3, 8, 8)
            except Unreadable as fault:
                assert 0 < len(str(fault)) < 100 and "object at" not in str(fault)


# ---- at the door -----------------------------------------------------------------------------------------------------


def test_no_images(tmp_path: Path) -> None:
    assert "there is no file or folder" in refusal(tmp_path / "missing")
    assert "holds no images" in refusal(tmp_path)
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.heic").write_bytes(b"x")
    assert "1 .heic" in refusal(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert "is no folder and no CSV" in refusal(tmp_path / "a.txt")


def test_one_class_only(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "set", 4)
    shutil.rmtree(folder / "down")
    assert "only one class, 'across'" in refusal(folder)


def test_a_class_that_train_does_not_have(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    (folder / "val" / "down").rename(folder / "val" / "askew")
    assert "val has the class 'askew', but train has 2 classes without it (across, down)" in refusal(folder)
    with pytest.raises(UserError, match="the model was trained on 2 classes without it"):
        read_images(ImageSettings(path=str(folder)), known=["across", "down"])


def test_splits_by_name(tmp_path: Path) -> None:
    corpus = read(write_splits(tmp_path / "set"))
    assert len(corpus.split("test")) == 12 and len(corpus.split("all")) == 72
    with pytest.raises(UserError, match="there is no split 'exam'; the splits of this data are train, val, test, all"):
        corpus.split("exam")


def test_a_folder_to_be_judged_needs_no_train(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    shutil.rmtree(folder / "train")
    known = read_images(ImageSettings(path=str(folder)), known=["across", "down"])
    assert len(known.split("test")) == 12
    assert "no training images" in refusal(folder)


def test_size_and_colour_of_a_set(tmp_path: Path) -> None:
    corpus = read(write_splits(tmp_path / "set"))
    headers = look_at(corpus.train)
    assert natural_side(headers) == 12 and not any(header.grey for header in headers)
    photos = write_files(tmp_path / "photos", 3, side=300, suffix="jpg")
    assert natural_side(look_at(read(photos).train)) == 128
    assert natural_side([]) == 128


def test_fingerprints_tell_data_apart(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    before = read(folder).fingerprint()
    assert before == read(folder).fingerprint()
    Image.fromarray(stripes("down", 1, seed=9)[0]).save(folder / "train" / "down" / "0.png")
    assert read(folder).fingerprint() != before


# ---- the check -------------------------------------------------------------------------------------------------------


def findings(path: Path) -> list[tuple[str, str, str]]:
    return [
        (f.severity, f.check, f.where)
        for f in check_images(ImageSettings(path=str(path))).findings
        if f.severity != "ok"
    ]


def test_a_clean_set(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    assert findings(folder) == [] and check_images(ImageSettings(path=str(folder))).exit_code == 0
    assert findings(write_idx_set(tmp_path / "idx")) == []


def test_the_check_finds_what_was_put_in(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    spoil(folder)
    shutil.copy(folder / "train/across/3.png", folder / "train/across/again.png")
    shutil.copy(folder / "train/across/4.png", folder / "train/down/doubt.png")
    shutil.copy(folder / "train/across/5.png", folder / "test/across/leak.png")
    shutil.copytree(
        folder / "train/down", folder / "train/rare", ignore=lambda _, names: [n for n in names if n != "7.png"]
    )
    Image.new("RGB", (100, 10)).save(folder / "val/down/long.png")
    (folder / "val/down/notes.md").write_text("x")
    report = check_images(ImageSettings(path=str(folder)))
    assert findings(folder) == [
        ("warning", "files", "all"), ("warning", "readable", "train"), ("warning", "balance", "train"),
        ("warning", "balance", "train"), ("warning", "sizes", "val"), ("warning", "copies", "train"),
        ("warning", "labels", "train"), ("warning", "overlap", "test"),
    ]  # fmt: skip
    told = " ".join(finding.sentence for finding in report.findings)
    for name in ("1.png (no image)", "train/across/again.png", "train/down/doubt.png", "test/across/leak.png", "rare"):
        assert name in told
    assert report.exit_code == 0


def test_what_is_an_error(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "set")
    for path in (folder / "train/down").iterdir():
        path.write_bytes(b"")
    (folder / "test/down").rename(folder / "test/askew")
    errors = [(check, where) for severity, check, where in findings(folder) if severity == "error"]
    assert errors == [("classes", "train"), ("classes", "train"), ("classes", "test")]
    assert check_images(ImageSettings(path=str(folder))).exit_code == 1
    assert check_images(ImageSettings(path=str(tmp_path / "set/val/down"))).exit_code == 1


def test_images_and_text_are_told_apart(tmp_path: Path) -> None:
    assert looks_like_images(write_splits(tmp_path / "set")) and looks_like_images(write_idx_set(tmp_path / "idx"))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "train.de").write_text("x\n")
    (tmp_path / "pairs.csv").write_text("name,label\nhello,good\n")
    assert not looks_like_images(tmp_path / "text") and not looks_like_images(tmp_path / "pairs.csv")
    assert not looks_like_images(tmp_path / "nothing")


def test_parts_of_a_set() -> None:
    images = Images(["a", "b", "c"], ["x", "y", "x"], np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    taken = images.take([2, 0])
    assert taken.names == ["c", "a"] and taken.labels == ["x", "x"] and taken.sources[0][0, 0] == 8
    assert len(Images.joined([taken, images])) == 5
