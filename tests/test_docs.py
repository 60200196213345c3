"""The docs say what is so: they are up to date, both READMEs say the same, links lead somewhere, commands run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
READMES = (ROOT / "README.md", ROOT / "README.zh.md")
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

TINY = (
    "--max-steps 2 --set model.dim=16 --set model.heads=2 --set model.ffn_dim=32 --set model.depth=1 "
    "--set data.vocab_size=300 --set data.batch_tokens=256 --set training.precision=float32"
)
TINIES = {
    "translation": TINY,
    "language-model": f"{TINY} --set data.length=16",
    "masked-lm": f"{TINY} --set data.length=32",
    "text-classification": "--max-steps 2 --set data.length=32 --set training.precision=float32",
    "algorithm": "--max-steps 2 --set model.dim=8 --set data.epoch=64 --set data.cases=8 --set training.precision=float32 "
    "--set data.train_length=4 --set data.test_lengths=[4,8]",
    "image-classification": "--max-steps 2 --set training.precision=float32",
}
LONG = ("allyouneed check", "allyouneed demo", "allyouneed lab run")
"""Commands that are run by a test of their own."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str = r"\w*") -> list[str]:
    """The contents of the fenced code blocks."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(page), flags=re.M | re.S)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.M | re.S)


def headings(page: Path) -> list[int]:
    """The level of each heading."""
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(page), flags=re.M)]


def commands(page: Path) -> list[str]:
    """The lines of shell blocks in which `allyouneed` is called."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [line for line in lines if re.search(r"(^|\| )allyouneed ", line)]


def made_tiny(command: str) -> str:
    """The same command, for a run that is over at once; a resumed run keeps its own settings."""
    if not command.startswith("allyouneed train"):
        return command
    task = command.split()[2]
    return f"{command} --max-steps 3" if "--resume" in command else f"{command} {TINIES[task]}"


# ---- what can be read


@pytest.fixture
def make() -> ModuleType:
    """docs/make.py, which is no part of the package."""
    specification = importlib.util.spec_from_file_location("docs_make", ROOT / "docs" / "make.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_what_is_generated_is_up_to_date(make: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert make.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_told(
    make: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    copies = [str(page.relative_to(ROOT)) for page in make.pages()]
    for name in copies:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "docs/settings.md").write_text("old")
    monkeypatch.setattr(make, "ROOT", tmp_path)
    assert make.main(["--check"]) == 1
    assert "docs/settings.md is out of date" in capsys.readouterr().err
    assert (tmp_path / "docs/settings.md").read_text() == "old"
    assert make.main([]) == 0 and make.main(["--check"]) == 0
    assert all((tmp_path / name).read_bytes() == (ROOT / name).read_bytes() for name in copies)
    (tmp_path / "README.md").write_text("no markers")
    with pytest.raises(SystemExit, match="lacks the markers"):
        make.main(["--check"])


def test_both_readmes_have_the_same_headings() -> None:
    english, chinese = (headings(page) for page in READMES)
    assert english == chinese and len(english) > 5


def test_both_readmes_have_the_same_code() -> None:
    english, chinese = (blocks(page) for page in READMES)
    assert english == chinese and len(english) > 5
    spans = [sorted(set(re.findall(r"`[^`\n]+`", prose(page)))) for page in READMES]
    assert spans[0] == spans[1]


@each_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if not re.match(r"https?://|#", link):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name} links to {link}"


@each_page
def test_every_code_fence_is_closed(page: Path) -> None:
    assert read(page).count("\n```") % 2 == 0


def test_the_picture_stands_alone() -> None:
    """It is a drawing in one file: no address is fetched, no script runs."""
    picture = read(ROOT / "docs" / "joints.svg")
    assert not re.search(r"<script|<image|@import|@font-face|href=|url\((?!#)", picture)
    assert "prefers-color-scheme: dark" in picture
    for joint in ("tokens", "positions", "mixer", "wrap", "order", "repeat", "head"):
        assert f">{joint}<" in picture


# ---- what can be run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's DIR, a tiny corpus in it, and an `allyouneed` of this Python on the path."""
    place = tmp_path_factory.mktemp("readme")
    (place / "DIR").mkdir()
    for split, sizes in {"train": range(2, 42), "val": range(42, 46), "test": range(46, 50)}.items():
        german = [f"{who} kauft {n} Bücher." for n in sizes for who in ("Der Arzt", "Die Lehrerin")]
        english = [f"{who} buys {n} books." for n in sizes for who in ("The doctor", "The teacher")]
        (place / "DIR" / f"{split}.de").write_text("\n".join(german) + "\n", encoding="utf-8")
        (place / "DIR" / f"{split}.en").write_text("\n".join(english) + "\n", encoding="utf-8")
    lines = [f"The {who} buys {n} books and reads them." for n in range(2, 40) for who in ("doctor", "teacher")]
    (place / "book.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = "".join(f"{line}\t{'good' if 'doctor' in line else 'bad'}\n" for line in lines)
    (place / "reviews.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    (place / "new.txt").write_text("The doctor reads.\nThe teacher reads.\n", encoding="utf-8")
    for shade, label in ((40, "cat"), (200, "dog")):
        (place / "photos" / label).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (40, 36), (shade + i, shade, 10 * i)).save(place / "photos" / label / f"{i}.jpg")
    Image.new("RGB", (50, 40), (200, 200, 30)).save(place / "photo.jpg")
    (place / "bin").mkdir()
    shim = place / "bin" / "allyouneed"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m allyouneed "$@"\n')
    shim.chmod(0o755)
    return place


def shell(place: Path, line: str) -> str:
    """What a command prints; it must end well, and quietly."""
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    surroundings = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    line = f"set -o pipefail; {line}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=place, env=surroundings, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outputs(place: Path) -> dict[str, str]:
    """The README's commands in their order, with what each printed."""
    lines = [line for line in commands(READMES[0]) if not line.startswith(LONG)]
    return {line: shell(place, made_tiny(line)) for line in lines}


def test_the_readmes_commands_run(outputs: dict[str, str], place: Path) -> None:
    verbs = " ".join(outputs)
    for verb in ("data check", "train translation", "translate", "evaluate"):
        assert f"allyouneed {verb}" in verbs, f"README shows no {verb}"
    assert "--resume" in verbs
    assert len((place / "best.tsv").read_text(encoding="utf-8").splitlines()) == 3 * 8
    assert any("BLEU" in output for output in outputs.values())


def test_the_run_folder_holds_what_the_readme_says(outputs: dict[str, str], place: Path) -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| [^`|]+ \|$", read(READMES[0]), flags=re.M)
    names = {name for row in rows for name in re.findall(r"`([\w./]+)`", row)}
    assert "config.yaml" in names
    for name in names - {"metrics.json"}:  # the demo's own
        assert (place / "runs" / "mine" / name).exists(), f"there is no {name} in a run folder"
    known = {name.rstrip("/") for name in names}
    assert {path.name for path in (place / "runs" / "mine").iterdir()} <= known


def test_the_readmes_python_runs(outputs: dict[str, str], place: Path) -> None:
    (code,) = blocks(READMES[0], "python")
    assert len([line for line in code.splitlines() if line]) == 5
    (place / "five.py").write_text(code.replace("runs/demo", "runs/mine"), encoding="utf-8")
    printed = shell(place, f'"{sys.executable}" five.py').splitlines()
    assert len(printed) == 3 and printed[0].startswith("[") and printed[2].startswith("[-")


@pytest.mark.slow
def test_the_readmes_long_commands_run(place: Path) -> None:
    for line in commands(READMES[0]):
        if line.startswith(LONG):
            shell(place, line)


@pytest.mark.slow
def test_the_demo_runs(place: Path) -> None:
    shell(place, f"allyouneed demo --max-time 5s {TINY.removeprefix('--max-steps 2 ')} --set training.max_steps=2")
    assert {"report.html", "explorer.html", "metrics.json"} <= {
        path.name for path in (place / "runs" / "demo").iterdir()
    }
