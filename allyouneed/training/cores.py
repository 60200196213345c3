"""How many cores are free: two threads on a machine with one free core wait for one another and crawl."""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")


def free_cores(seconds: float = 0.5, stat: Path = STAT) -> int | None:
    """Cores that this process may use and that others left idle just now, at least 1; None where it cannot be told."""
    before = _idle_and_all(stat)
    time.sleep(seconds)
    after = _idle_and_all(stat)
    free = 0.0
    for core in before.keys() & after.keys():
        idle, total = (b - a for a, b in zip(before[core], after[core], strict=True))
        free += idle / total if total else 1.0
    return max(1, round(free)) if before else None


def _idle_and_all(stat: Path) -> dict[int, tuple[int, int]]:
    """Ticks by core since the machine began: idle ones, and all."""
    try:
        lines = stat.read_text().splitlines()
        allowed = os.sched_getaffinity(0)
    except (OSError, AttributeError):  # not Linux
        return {}
    found = {}
    for line in lines:
        name, *ticks = line.split()
        if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in allowed:
            user, nice, system, idle, waiting, *rest = map(int, ticks[:8])
            found[int(name[3:])] = (idle + waiting, user + nice + system + idle + waiting + sum(rest))
    return found
