"""Augmentation: a pure function of (seed, epoch, image), of the shape and range of images, and right in each operation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from allyouneed.data.augment import (
    MOST_OPERATIONS,
    Drawn,
    crops,
    draw,
    erased,
    mixed,
    normalised,
    shifted,
    varied,
)  # fmt: skip
from allyouneed.data.image_operations import OPERATIONS
from allyouneed.data.image_settings import AUGMENTATIONS, Augmentation, AugmentSettings

EVERYTHING = AUGMENTATIONS["strong"]._replace(shift=0.2, colour=0.4, smallest=0.3)


def pictures(count: int = 6, channels: int = 3, side: int = 16, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, channels, side, side), generator=torch.manual_seed(seed), dtype=torch.uint8)


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


# ---- what is drawn ---------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 1000), order=st.permutations(range(8)))
@settings(max_examples=30, deadline=None)
def test_an_image_draws_the_same_in_any_batch(seed: int, epoch: int, order: list[int]) -> None:
    alone = torch.cat([draw(seed, epoch, rows(i)) for i in order])
    assert torch.equal(draw(seed, epoch, rows(*order)), alone)


def test_other_images_epochs_and_seeds_draw_other_numbers() -> None:
    first = draw(1, 0, np.arange(2000))
    assert first.min() >= 0 and first.max() < 1
    for other in (draw(2, 0, np.arange(2000)), draw(1, 1, np.arange(2000)), draw(1, 0, np.arange(2000, 4000))):
        assert (first == other).float().mean() < 1e-3
    # Uniform (mean 1/2, variance 1/12, five standard errors) and uncorrelated between columns and between neighbours.
    assert (first.mean(0) - 0.5).abs().max() < 5 * (1 / 12 / 2000) ** 0.5
    assert (first.var(0) - 1 / 12).abs().max() < 0.01
    correlation = np.corrcoef(first.T.numpy()) - np.eye(first.shape[1])
    assert np.abs(correlation).max() < 0.12
    assert abs(np.corrcoef(first[:-1].flatten().numpy(), first[1:].flatten().numpy())[0, 1]) < 0.02


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_seed_and_epoch_give_the_same_picture(name: str) -> None:
    a, images = AUGMENTATIONS[name], pictures()
    once = varied(images, draw(1, 3, np.arange(6)), a, 16)
    assert torch.equal(once, varied(images, draw(1, 3, np.arange(6)), a, 16))
    half = varied(images[3:], draw(1, 3, np.arange(3, 6)), a, 16)
    torch.testing.assert_close(once[3:], half, atol=1e-3, rtol=0)  # whatever the batch
    if name != "none":
        assert not torch.equal(once, varied(images, draw(1, 4, np.arange(6)), a, 16))


# ---- shape and range -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("a", [*AUGMENTATIONS.values(), EVERYTHING], ids=[*AUGMENTATIONS, "everything"])
def test_shape_and_range_stay(a: Augmentation, channels: int) -> None:
    out = varied(pictures(40, channels), draw(0, 0, np.arange(40)), a, 16)
    assert out.shape == (40, channels, 16, 16)
    assert out.isfinite().all() if out.is_floating_point() else True
    assert out.min() >= -1e-3 and out.max() <= 255 + 1e-3


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_keeps_shape_and_range(name: str, channels: int) -> None:
    images = torch.cat([pictures(4, channels), torch.full((2, channels, 16, 16), 77, dtype=torch.uint8)]).float()
    for strength in (-1.0, 0.0, 0.6, 1.0):
        out = OPERATIONS[name](images, torch.full((6,), strength))
        assert out.shape == images.shape and out.isfinite().all()
        assert out.min() >= -1e-3 and out.max() <= 255 + 1e-3


def test_crops_from_a_larger_image() -> None:
    a = Augmentation(smallest=0.5)
    assert crops(pictures(side=20).float(), draw(0, 0, np.arange(6)), a, 16).shape == (6, 3, 16, 16)
    flat = torch.full((6, 3, 20, 20), 99.0)
    torch.testing.assert_close(crops(flat, draw(0, 0, np.arange(6)), a, 16), torch.full((6, 3, 16, 16), 99.0))


# ---- right in each operation -----------------------------------------------------------------------------------------


def test_shift_and_flip_against_a_loop() -> None:
    a, images = Augmentation(shift=0.25, flip=0.5), pictures(30, 2, 8)
    drawn = draw(5, 2, np.arange(30))
    out = shifted(images, drawn, a)
    moves = set()
    for i in range(30):
        # 0.25 of 8 is 2 pixels: the number drawn falls into one of five equal parts.
        down, right = (int(drawn[i, column] * 5) - 2 for column in (Drawn.SHIFT_Y, Drawn.SHIFT_X))
        flip = bool(drawn[i, Drawn.FLIP] < 0.5)
        moves.add((down, right, flip))
        for y in range(8):
            for x in range(8):
                source = (y + down, (7 - x if flip else x) + right)
                inside = all(0 <= place < 8 for place in source)
                wanted = images[i, :, source[0], source[1]] if inside else torch.zeros(2, dtype=torch.uint8)
                assert torch.equal(out[i, :, y, x], wanted)
    assert len(moves) > 15 and {flip for _, _, flip in moves} == {True, False}


def test_a_flip_alone_is_exact() -> None:
    images = pictures(20)
    out = shifted(images, draw(0, 0, np.arange(20)), Augmentation(flip=1.0))
    assert torch.equal(out, images.flip(3))


PILLOW = {
    "autocontrast": lambda image, m: ImageOps.autocontrast(image),
    "equalize": lambda image, m: ImageOps.equalize(image),
    "solarize": lambda image, m: ImageOps.solarize(image, 256 * (1 - abs(m))),
    "posterize": lambda image, m: ImageOps.posterize(image, 8 - int(4 * abs(m))),
    "colour": lambda image, m: ImageEnhance.Color(image).enhance(1 + 0.9 * m),
    "contrast": lambda image, m: ImageEnhance.Contrast(image).enhance(1 + 0.9 * m),
    "brightness": lambda image, m: ImageEnhance.Brightness(image).enhance(1 + 0.9 * m),
    "sharpness": lambda image, m: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * m),
    "identity": lambda image, m: image,
}


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("strength", [-0.7, 0.5, 0.9])
def test_operations_against_pillow(name: str, strength: float) -> None:
    """Pillow rounds to whole numbers in between, so a blended value may differ by a little more than one."""
    smooth = torch.linspace(20, 230, 40)[:, None] * torch.linspace(0.3, 1, 40)[None]
    images = torch.stack([(smooth * factor).byte() for factor in (1.0, 0.8, 0.5)])[None]
    images = torch.cat([images, pictures(1, side=40)])
    slack = 0.01 if name in ("equalize", "solarize", "posterize", "identity") else 2.01
    out = OPERATIONS[name](images.float(), torch.full((2,), strength))
    for image, ours in zip(images, out, strict=True):
        theirs = PILLOW[name](Image.fromarray(image.permute(1, 2, 0).numpy()), strength)
        torch.testing.assert_close(
            ours, torch.from_numpy(np.array(theirs)).permute(2, 0, 1).float(), atol=slack, rtol=0
        )


GEOMETRY = {
    # Pillow's matrices map an output place (pixel centres) to an input place.
    "shear_x": lambda m: (1, 0.3 * m, -0.3 * m * 8, 0, 1, 0),
    "shear_y": lambda m: (1, 0, 0, 0.3 * m, 1, -0.3 * m * 8),
    "translate_x": lambda m: (1, 0, 0.45 * m * 16, 0, 1, 0),
    "translate_y": lambda m: (1, 0, 0, 0, 1, 0.45 * m * 16),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_against_pillow(name: str) -> None:
    smooth = torch.sin(torch.arange(16.0)[:, None] / 3) + torch.cos(torch.arange(16.0)[None] / 4)
    image = ((smooth + 2) * 60).byte()
    for strength in (-0.8, 0.5):
        ours = OPERATIONS[name](image[None, None].float(), torch.tensor([strength]))[0, 0]
        theirs = Image.fromarray(image.numpy()).transform(
            (16, 16), Image.Transform.AFFINE, GEOMETRY[name](strength), Image.Resampling.BILINEAR
        )
        inner = slice(7, 11) if name.startswith("translate") else slice(5, 11)  # away from what comes in from outside
        torch.testing.assert_close(
            ours[inner, inner], torch.from_numpy(np.array(theirs)).float()[inner, inner], atol=1.5, rtol=0
        )


def test_rotation_against_pillow() -> None:
    smooth = torch.sin(torch.arange(16.0)[:, None] / 3) + torch.cos(torch.arange(16.0)[None] / 4)
    image = ((smooth + 2) * 60).byte()
    ours = OPERATIONS["rotate"](image[None, None].float(), torch.tensor([0.5]))[0, 0]
    theirs = Image.fromarray(image.numpy()).rotate(15, Image.Resampling.BILINEAR)
    inner = slice(4, 12)
    torch.testing.assert_close(
        ours[inner, inner], torch.from_numpy(np.array(theirs)).float()[inner, inner], atol=1.5, rtol=0
    )


def test_erasing_blanks_a_rectangle_of_the_right_area() -> None:
    images = torch.ones(400, 1, 32, 32)
    out = erased(images, draw(0, 0, np.arange(400)), 0.5)
    gone = (out == 0)[:, 0]
    share = gone.float().mean((1, 2))
    assert 0.4 < (share > 0).float().mean() < 0.6
    assert share.max() < 0.36 and share[share > 0].min() > 0.005
    for mask in gone[share > 0][:50]:
        area = mask.any(0).sum() * mask.any(1).sum()  # of the box around it
        assert int(area) == int(mask.sum())
    assert torch.equal(erased(images, draw(0, 0, np.arange(400)), 0.0), images)


def test_normalised() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    out = normalised(images, (0.5, 0.2, 0.1), (0.5, 0.1, 0.3))
    torch.testing.assert_close(out.flatten(), torch.tensor([-1.0, 0.0, 3.0]))


# ---- mixing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.2, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixed_targets_sum_to_one_and_tell_the_share(mixup: float, cutmix: float) -> None:
    """Image i is all i, so what is left of it can be counted: the target says the same."""
    count = 64
    images = torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 1, 20, 20)
    targets = torch.eye(count)
    out = mixed(images, targets, draw(0, 0, np.arange(count)), Augmentation(mixup=mixup, cutmix=cutmix))
    torch.testing.assert_close(out.targets.sum(1), torch.ones(count))
    assert out.images.shape == images.shape
    expected = (out.targets * torch.arange(count).float()).sum(1)  # the mean of the picture
    torch.testing.assert_close(out.images.mean((1, 2, 3)), expected, atol=2e-3, rtol=1e-4)
    assert ((out.targets > 0).sum(1) <= 2).all() and ((out.targets > 0).sum(1) == 2).any()
    own, other = torch.arange(count), torch.arange(count).roll(1)
    kept = out.targets[own, own] + out.targets[own, other]
    torch.testing.assert_close(kept, torch.ones(count))


def test_shares_are_betas() -> None:
    drawn = draw(0, 0, np.arange(20_000))
    images, targets = torch.zeros(20_000, 1, 1, 1), torch.stack([torch.ones(20_000), torch.zeros(20_000)], 1)
    targets[1::2] = targets[1::2].flip(1)
    share = mixed(images, targets, drawn, Augmentation(mixup=0.4)).targets[::2, 0]
    assert abs(float(share.mean()) - 0.5) < 0.02
    assert abs(float(share.var()) - 1 / (4 * (2 * 0.4 + 1))) < 0.01  # the variance of Beta(a, a)


# ---- settings --------------------------------------------------------------------------------------------------------


def test_what_is_given_replaces_the_presets() -> None:
    assert AugmentSettings().resolved("photos") == AUGMENTATIONS["photos"]
    assert AugmentSettings(preset="strong", mixup=0.0).resolved() == AUGMENTATIONS["strong"]._replace(mixup=0.0)
    assert AUGMENTATIONS["strong"].randaugment <= MOST_OPERATIONS
