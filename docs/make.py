"""Writes what the docs say of the code from the code: docs/settings.md, and the table of models in both READMEs.

`python docs/make.py` writes, `python docs/make.py --check` exits with 1 if a file is out of date.
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from allyouneed.recipes.explain import model_rows, setting_rows

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"

HEADERS = {
    "README.md": ("model", "paper", "what it adds", "order: encoder / decoder", "parameters", "equal within 1e-5 to"),
    "README.zh.md": ("模型", "论文", "新在何处", "次序：编码器 / 解码器", "参数量", "误差 1e-5 内与之相等"),
}
CHINESE = {"attention instead of recurrence": "用注意力取代循环"}
"""What models add, in Chinese. What is not here stands in English in README.zh.md too."""

GROUPS = {
    "model": "The numbers of the network. The defaults are those of the preset `small`; `--preset` sets many at once.",
    "data": "Where text comes from, and how it becomes pieces and batches.",
    "training": "How the weights are learnt, saved and judged.",
    "decoding": "How a translation is searched; validation uses the same, but greedily.",
}
PREFACE = """# Settings of a translation run

<!-- Written by docs/make.py from the code; edit the descriptions there and run `make docs`. -->

Each may be given to `allyouneed train translation` as `--set key=value`, as often as needed; `--help` prints the same
list. Values are read as YAML, and `null` means none. An unknown key, a wrong type or a value out of range is refused in
one sentence. The settings of a run stand in its `config.yaml`.
"""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings_page() -> str:
    parts = [PREFACE]
    for group, rows in groupby(setting_rows(), key=lambda row: row[0].split(".")[0]):
        cells = [(f"`{key}`", kind, f"`{default_of(kind, value)}`", text) for key, kind, value, text in rows]
        parts += [f"## {group}", GROUPS.get(group, ""), table(("setting", "type", "default", "what it does"), cells)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def default_of(kind: str, value: str) -> str:
    """A default as one would type it after `--set key=`."""
    if kind == "true or false":
        return value.lower()
    return "null" if value == "none" and kind.endswith("or null") else value


def models_table(file: str) -> str:
    return table(HEADERS[file], [model_cells(row, file) for row in model_rows()])


def model_cells(row: dict[str, Any], file: str) -> list[str]:
    adds = CHINESE.get(row["adds"], row["adds"]) if file == "README.zh.md" else row["adds"]
    sizes = "<br>".join(f"`{preset}` {count / 1e6:,.1f} M" for preset, count in row["parameters"].items())
    orders = " / ".join(f"`{order}`" for order in row["orders"])
    return [f"`{row['name']}`", f"[{row['paper']}]({row['url']})", adds, orders, sizes, row["parity"]]


def with_table(text: str, models: str, file: str) -> str:
    """The text with the table between its two markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{file} lacks the markers {BEGIN} and {END}, between which the table of models stands; put them back")
    return f"{before}{BEGIN}\n{models}\n{END}{after}"


def pages() -> dict[Path, str]:
    """Every file that is written here, with what it should hold."""
    made = {ROOT / "docs" / "settings.md": settings_page()}
    for file in HEADERS:
        made[ROOT / file] = with_table((ROOT / file).read_text(encoding="utf-8"), models_table(file), file)
    return made


def main(arguments: Sequence[str]) -> int:
    if unknown := set(arguments) - {"--check"}:
        print(f"unknown: {' '.join(sorted(unknown))}; the one option is --check", file=sys.stderr)
        return 2
    stale = [
        (path, text) for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is out of date; run `make docs`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
