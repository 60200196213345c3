"""Every test starts from the same seed, on one thread: results do not depend on the machine's load or on the order."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
