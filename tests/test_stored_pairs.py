"""Tokens on disk: the same sequences as in memory, batches that are a pure function, and writers that are killed."""

import gzip
import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import corpus, write_corpus, write_pair

from allyouneed.data import stored_pairs, streaming
from allyouneed.data.batches import TokenStore
from allyouneed.data.parallel import ParallelText
from allyouneed.data.stored_pairs import PairStore, Recipe, find_stamped, find_store, make_store
from allyouneed.data.stored_plan import StoredPlan, batch_cuts, padding_share, permuted
from allyouneed.data.streaming import Place, find_parallel_files, side, thinned, training_bytes, validation_text
from allyouneed.data.subwords import Subwords
from allyouneed.errors import UserError

# ---- permutations and cuts


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 700), key=st.integers(0, 2**64 - 1))
def test_the_permutation_is_one(count: int, key: int) -> None:
    places, counts = np.arange(count, dtype=np.uint64), np.full(count, count, dtype=np.uint64)
    keys = np.full((4, count), key, dtype=np.uint64) + np.arange(4, dtype=np.uint64)[:, None]
    assert sorted(permuted(places, counts, keys).tolist()) == list(range(count))


def test_neighbours_are_scattered_as_by_chance() -> None:
    """Over many keys each of 20 places is drawn about equally often for place 7, and pairs of places too."""
    count, draws = 20, 8000
    keys = np.random.default_rng(1).integers(0, 2**63, (4, draws)).astype(np.uint64)
    counts = np.full(draws, count, dtype=np.uint64)
    one, other = (permuted(np.full(draws, place, dtype=np.uint64), counts, keys).astype(int) for place in (7, 8))
    for values, cells in ((one, count), (other, count), ((other - one) % count, count - 1)):
        seen = np.bincount(values, minlength=count)
        expected = draws / cells
        chi2 = (((seen - expected) ** 2) / expected)[seen > 0].sum()
        assert chi2 < 55 and (seen > 0).sum() == cells  # 19 degrees of freedom: 55 is one in 25,000


def sorted_classes(lengths: np.ndarray) -> np.ndarray:  # 2 x pairs -> k 3
    rows, counts = np.unique(lengths.T, axis=0, return_counts=True)
    order = np.lexsort((rows[:, 0], rows[:, 1], rows.max(1)))
    return np.concatenate([rows, counts[:, None]], axis=1)[order]


def naive_cuts(classes: np.ndarray, extra: int, budget: int) -> list[int]:
    """Pair by pair, as `batches.plan` has it."""
    pairs = [(s + extra, t + extra) for s, t, count in classes.tolist() for _ in range(count)]
    cuts = [0]
    for at in range(len(pairs)):
        batch = pairs[cuts[-1] : at + 1]
        if at > cuts[-1] and sum(map(max, zip(*batch, strict=True))) * len(batch) > budget:
            cuts.append(at)
    return [*cuts, len(pairs)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=120), st.integers(3, 200))
def test_cuts_are_those_of_a_naive_loop(pairs: list[tuple[int, int]], budget: int) -> None:
    classes = sorted_classes(np.array(pairs).T)
    cuts = batch_cuts(classes, 1, budget)
    assert cuts.tolist() == naive_cuts(classes, 1, budget)
    rows = np.repeat(classes[:, :2] + 1, classes[:, 2], axis=0)
    cells = sum(rows[a:b].max(0).sum() * (b - a) for a, b in zip(cuts, cuts[1:], strict=False))
    assert padding_share(classes, cuts, 1) == pytest.approx(1 - rows.sum() / cells)


# ---- a plan


@pytest.fixture
def plan_parts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lengths of 3,000 pairs, their order, and classes."""
    lengths = np.random.default_rng(3).integers(1, 12, (2, 3000))
    order = np.lexsort((lengths[0], lengths[1], lengths.max(0)))
    return lengths, order, sorted_classes(lengths)


def test_every_pair_is_in_the_plan_once_in_a_batch_of_its_length(plan_parts: Any) -> None:
    lengths, order, classes = plan_parts
    cuts = batch_cuts(classes, 1, 300)
    for epoch in range(3):
        batches = StoredPlan(order, classes, cuts, 1, epoch)
        assert sorted(np.concatenate(list(batches)).tolist()) == list(range(3000))
        assert all(int((lengths[:, batch] + 1).max(1).sum()) * len(batch) <= 300 for batch in batches)
        assert [b.tolist() for b in batches[3:6]] == [batches[i].tolist() for i in (3, 4, 5)]


def test_the_plan_is_a_pure_function_of_seed_and_epoch(plan_parts: Any) -> None:
    _, order, classes = plan_parts
    cuts = batch_cuts(classes, 1, 300)

    def spelled(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in StoredPlan(order, classes, cuts, seed, epoch)]

    first = spelled(1, 4)
    assert spelled(1, 4) == first
    others = [spelled(1, 5), spelled(2, 4)]
    assert first not in others and others[0] != others[1]
    company = [{frozenset(batch) for batch in one} for one in (first, others[0])]
    assert len(company[0] & company[1]) < 0.1 * len(company[0])  # other company, not only another order


# ---- files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("stored") / "text")


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    text = corpus().train
    return Subwords.train([*text.source, *text.target], "bpe", 300)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK", 32)
    monkeypatch.setattr(stored_pairs, "NOTED", 2)
    monkeypatch.setattr(stored_pairs, "ROWS", 50)


def recipe_of(longest: int = 50, most: int | None = None, pieces: int = 300) -> Recipe:
    return Recipe("digest", 240, ("a", "b"), longest, most, pieces)


def made(at: Path, text: Path, subwords: Subwords, recipe: Recipe, said: list[str] | None = None) -> PairStore:
    files = find_parallel_files(text, "de", "en")
    say = (said if said is not None else []).append
    return make_store(at, recipe, files, (subwords.encode, subwords.encode), say)


def sequences(store: PairStore) -> list[list[list[int]]]:
    def rows(part: Any) -> list[list[int]]:
        return [part.ids[a:b].tolist() for a, b in zip(part.offsets, part.offsets[1:], strict=False)]

    return [rows(store.source), rows(store.target)]


@pytest.mark.usefixtures("small_chunks")
def test_the_tokens_are_those_of_memory_less_what_is_too_long(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    longest = 14
    store = made(tmp_path, folder, subwords, recipe_of(longest))
    text = [subwords.encode(lines) for lines in corpus().train]
    kept = [i for i, pair in enumerate(zip(*text, strict=True)) if max(map(len, pair)) <= longest]
    assert 0 < len(kept) < 240 and sequences(store) == [[rows[i] for i in kept] for rows in text]
    assert (store.manifest["pairs"], store.manifest["left_out"]) == (len(kept), 240 - len(kept))
    assert store.manifest["left_out_lines"] == [i + 1 for i in range(240) if i not in kept][:5]
    lengths = np.array([[len(rows[i]) for i in kept] for rows in text])
    assert np.array_equal(store.classes, sorted_classes(lengths))
    assert np.array_equal(store.order, np.lexsort((lengths[0], lengths[1], lengths.max(0))))  # both are stable
    assert store.source.ids.dtype == np.uint16 and not list(tmp_path.glob(".unfinished*"))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("most", [1, 32, 50, 240, 999])
def test_only_the_first_pairs(folder: Path, subwords: Subwords, tmp_path: Path, most: int) -> None:
    store = made(tmp_path, folder, subwords, recipe_of(most=most))
    assert sequences(store) == [subwords.encode(lines[:most]) for lines in corpus().train]


def test_a_large_vocabulary_needs_wider_numbers(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    store = made(tmp_path, folder, subwords, recipe_of(pieces=70_000))
    assert store.source.ids.dtype == np.int32
    assert sequences(store) == [subwords.encode(lines) for lines in corpus().train]


def test_batches_are_padded_from_the_files(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    store = made(tmp_path, folder, subwords, recipe_of())
    text = subwords.encode(corpus().train.source)
    rows = np.array([5, 200, 17])
    for _ in range(2):
        found = store.source.padded(rows, after=[2])
        assert [[i for i in line if i] for line in found.tolist()] == [[*text[row], 2] for row in rows]
        assert store.source.lengths_of(rows).tolist() == [len(text[row]) for row in rows]
        store.release()  # what was let go of is read again


def test_stores_are_joined() -> None:
    rows = [[5, 6], [], [7], [8, 9, 10]]
    for cut in range(5):
        joined = TokenStore.joined([TokenStore.of(rows[:cut]), TokenStore.of(rows[cut:])])
        whole = TokenStore.of(rows)
        assert np.array_equal(joined.ids, whole.ids) and np.array_equal(joined.offsets, whole.offsets)
    assert len(TokenStore.joined([])) == 0


def test_what_is_there_is_reused_and_another_recipe_is_not(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    first = made(tmp_path, folder, subwords, recipe_of())
    before = (first.folder / "order").stat().st_mtime_ns

    def never(_: Sequence[str]) -> list[list[int]]:
        raise AssertionError("tokenised again")

    files = find_parallel_files(folder, "de", "en")
    again = make_store(tmp_path, recipe_of(), files, (never, never), print)
    assert again.folder == first.folder and (again.folder / "order").stat().st_mtime_ns == before
    found = find_store(tmp_path, recipe_of())
    assert found is not None and len(found) == len(first) == 240
    others = [recipe_of(49), recipe_of(most=3), recipe_of()._replace(text="x"), recipe_of()._replace(subwords=("a",))]
    assert [find_store(tmp_path, other) for other in others] == [None] * 4
    assert len({recipe_of().key, *(other.key for other in others)}) == 5


def test_unchanged_files_are_known_by_their_stamp(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    text = write_corpus(tmp_path / "text")
    made(tmp_path / "store", text, subwords, recipe_of())
    files = find_parallel_files(text, "de", "en")
    assert find_stamped(tmp_path / "store", files.stamp(), ("a", "b")) == ("digest", 240)
    assert find_stamped(tmp_path / "store", files.stamp(), ("a", "c")) is None
    (text / "train.de").write_text((text / "train.de").read_text())
    assert find_stamped(tmp_path / "store", files.stamp(), ("a", "b")) is None


class Killed(Exception):
    pass


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("calls", [1, 3, 7])
def test_a_killed_writer_goes_on_where_it_was(folder: Path, subwords: Subwords, tmp_path: Path, calls: int) -> None:
    """Chunks of 32, the place noted after each second one: at most two chunks are tokenised twice."""
    files, left = find_parallel_files(folder, "de", "en"), iter(range(calls))

    def dying(lines: Sequence[str]) -> list[list[int]]:
        if next(left, None) is None:
            raise Killed
        return subwords.encode(lines)

    with pytest.raises(Killed):
        make_store(tmp_path, recipe_of(14), files, (dying, subwords.encode), print)
    (aside,) = tmp_path.glob(".unfinished-*")
    with open(aside / "source.ids", "ab") as file:
        file.write(b"torn")
    seen: list[int] = []

    def counted(lines: Sequence[str]) -> list[list[int]]:
        seen.append(len(lines))
        return subwords.encode(lines)

    store = make_store(tmp_path, recipe_of(14), files, (counted, subwords.encode), print)
    whole = made(tmp_path / "other", folder, subwords, recipe_of(14))
    assert sequences(store) == sequences(whole) and store.manifest == whole.manifest
    assert sum(seen) == 240 - 64 * (calls // 2) and np.array_equal(store.order, whole.order)


def _write(at: Path, text: Path, subwords: str) -> None:
    loaded = Subwords.load(Path(subwords))
    made(at, text, loaded, recipe_of())


@pytest.mark.slow
def test_two_writers_at_once_wait_for_each_other(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    subwords.save(tmp_path / "t.json")
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_write, args=(tmp_path / "s", folder, str(tmp_path / "t.json"))) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = find_store(tmp_path / "s", recipe_of())
    assert found is not None and sequences(found)[0] == subwords.encode(corpus().train.source)


def test_a_torn_store_is_named(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    store = made(tmp_path, folder, subwords, recipe_of())
    with open(store.folder / "target.ids", "ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=r"target\.ids is not as it was written; delete the folder"):
        find_store(tmp_path, recipe_of())


def test_a_full_disk_keeps_what_is_written(
    folder: Path, subwords: Subwords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stored_pairs, "_put_in_order", full)
        with pytest.raises(UserError, match=r"No space left on device.*data\.store_path.*kept"):
            made(tmp_path, folder, subwords, recipe_of())
    assert json.loads((next(tmp_path.glob(".unfinished-*")) / "place.json").read_text())["place"][0] == 240
    assert len(made(tmp_path, folder, subwords, recipe_of())) == 240


def test_nothing_left_is_an_error(folder: Path, subwords: Subwords, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.max_length=1 pieces"):
        made(tmp_path, folder, subwords, recipe_of(longest=1))


# ---- reading


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("packed", [False, True])
def test_chunks_are_the_lines_and_any_place_is_a_beginning(tmp_path: Path, packed: bool) -> None:
    text = write_corpus(tmp_path / "text")
    (text / "train.de").write_bytes(b"\xef\xbb\xbf" + (text / "train.de").read_bytes().replace(b"\n", b"\r\n")[:-2])
    if packed:
        for name in ("train.de", "train.en"):
            (text / f"{name}.gz").write_bytes(gzip.compress((text / name).read_bytes()))
            (text / name).unlink()
    files = find_parallel_files(text, None, None)
    parts = list(files.chunks(Place()))
    assert [len(part[0]) for part in parts] == [32] * 7 + [16]
    for start in (0, 1, 5):
        place = parts[start - 1][2] if start else Place()
        rest = list(files.chunks(place))
        assert rest == parts[start:]
    assert [[line for part in parts for line in part[i]] for i in (0, 1)] == list(corpus().train)
    assert [line for lines in side(files.source) for line in lines] == corpus().train.source


@pytest.mark.usefixtures("small_chunks")
def test_the_digest_is_of_all_lines(tmp_path: Path) -> None:
    text = write_corpus(tmp_path / "text")
    files = find_parallel_files(text, "de", "en")
    assert validation_text(text, files) == corpus().val
    content = b"".join("\n".join(lines).encode() + b"\0" for lines in corpus().train)
    assert files.digest() == (hashlib.sha256(content).hexdigest(), 240)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("step", [1, 3, 50])
def test_a_file_is_thinned_evenly(folder: Path, step: int) -> None:
    assert list(thinned(folder / "train.de", step)) == corpus().train.source[::step]


@pytest.mark.usefixtures("small_chunks")
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    text = write_corpus(tmp_path / "text")
    train = (text / "train.en").read_bytes()
    lines = train.split(b"\n")

    def fault(content: bytes, name: str = "train.en") -> str:
        (text / name).write_bytes(content)
        files = find_parallel_files(text, "de", "en")
        with pytest.raises(UserError) as error:
            list(files.chunks(Place()))
        with pytest.raises(UserError):
            files.digest()
        return str(error.value)

    assert "line 101: invalid UTF-8 (byte 0xff)" in fault(b"\n".join([*lines[:100], b"\xff", *lines[101:]]))
    assert "NUL byte in line 71" in fault(b"\n".join([*lines[:70], b"a\0", *lines[71:]]))
    assert "from line 201 on there is no partner" in fault(b"\n".join(lines[:200]) + b"\n")
    assert "rename it to train.en.gz" in fault(gzip.compress(train))
    (text / "train.en").unlink()
    assert "damaged or truncated gzip" in fault(gzip.compress(train)[:-900], "train.en.gz")


def test_what_the_disk_store_cannot_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("a\tb\n")
    with pytest.raises(UserError, match=r"is one file; put its sides into train\.SRC"):
        find_parallel_files(tmp_path / "one.tsv", None, None)
    write_pair(tmp_path, "train", ParallelText(["a"], ["b"]))
    with pytest.raises(UserError, match=r"no val\.de and val\.en.*move some hundred pairs"):
        find_parallel_files(tmp_path, None, None)
    (tmp_path / "train.en").unlink()
    with pytest.raises(UserError):
        find_parallel_files(tmp_path, "de", "en")


def test_the_size_of_the_training_text(tmp_path: Path) -> None:
    text = write_corpus(tmp_path / "text")
    size = sum((text / f"train.{language}").stat().st_size for language in ("de", "en"))
    assert training_bytes(text, None, None) == size
    assert training_bytes(text / "train.de", None, None) == 0
