"""Every test starts from the same seed, on one thread: results do not depend on the machine's load or on the order."""

from pathlib import Path

import pytest
import torch
from browser import browser_page, chromium  # noqa: F401  (fixtures: one browser for all tests)
from tiny import Command, write_corpus

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, called in this process."""
    return Command(monkeypatch, capsys)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny corpus: `train.de train.en val.de ...`; not to be written to."""
    return write_corpus(tmp_path_factory.mktemp("data") / "text")
