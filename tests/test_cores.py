"""Free cores, from a machine's own counters and from made-up ones."""

import os
import threading
import time
from pathlib import Path

import pytest

from allyouneed.training import cores


@pytest.mark.parametrize(
    "busy, free", [([0, 0, 0, 0], 4), ([100, 100, 0, 0], 2), ([100, 100, 100, 100], 1), ([90, 60, 0, 0], 2)]
)
def test_ticks_that_others_took_are_not_free(
    busy: list[int], free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    stat = tmp_path / "stat"

    def write(taken: list[int]) -> None:
        rows = [f"cpu{i} {100 + n} 0 50 {1000 + 100 - n} 0 0 0 0 0 0" for i, n in enumerate(taken)]
        stat.write_text("\n".join(["cpu 1 2 3 4 5 6 7 8 9 10", *rows, "cpu9 1 1 1 1 1 1 1 1", "intr 5"]))

    write([50] * 4)  # 50 ticks of each hundred, until now
    before = cores._idle_and_all(stat)
    assert set(before) == {0, 1, 2, 3}
    stat.write_text("\n".join(f"cpu{i} {150 + n} 0 50 {1050 + 100 - n} 0 0 0 0 0 0" for i, n in enumerate(busy)))
    after = stat.read_text()
    write([50] * 4)
    threading.Timer(0.05, lambda: stat.write_text(after)).start()
    assert cores.free_cores(0.3, stat) == free


def test_a_machine_without_counters_is_not_guessed_at(tmp_path: Path) -> None:
    assert cores.free_cores(0, tmp_path / "absent") is None


@pytest.mark.skipif(not cores.STAT.exists(), reason="only Linux has /proc/stat")
def test_this_machine_has_a_core() -> None:
    begun = time.monotonic()
    assert 1 <= (cores.free_cores(0.05) or 0) <= (os.cpu_count() or 1)
    assert time.monotonic() - begun < 5
