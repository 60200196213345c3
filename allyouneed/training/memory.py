"""Memory of the C library, tuned for tensors that come and go."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
TRIM_EVERY = 100
"""Updates between two times that freed memory is given back."""


def keep_freed_memory() -> None:
    """Lets glibc keep what was freed instead of giving it back and asking again for every large tensor.

    Each return costs page faults at the next use: five times fewer of them make a training step about a tenth faster
    on a CPU (docs/performance.md). Elsewhere than on Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_TOP_PAD, 256 << 20)


def give_back_freed_memory() -> None:
    """What is free inside glibc's heaps goes back to the system: tens of milliseconds.

    Batches of many shapes leave holes that nothing fits: a run that held 1.3 GB in use grew to 4.8 GB within the hour,
    with glibc's own settings as with those above. Elsewhere than on Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
