"""Writes what the docs say of the code from the code: docs/settings.md, the table of models in both READMEs, and the
schema of traces.

`python docs/make.py` writes, `python docs/make.py --check` exits with 1 if a file is out of date.
"""

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from allyouneed.recipes.explain import model_rows, setting_rows
from allyouneed.recipes.jobs import JOBS
from allyouneed.tracing.manifest import VERSION, Manifest

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"

HEADERS = {
    "README.md": ("model", "paper", "what it adds", "trained for", "order", "parameters", "equal within 1e-5 to"),
    "README.zh.md": ("模型", "论文", "新在何处", "训练任务", "次序", "参数量", "误差 1e-5 内与之相等"),
}
CHINESE = {
    "attention instead of recurrence": "用注意力取代循环",
    "attention gathered at the bottom, feed-forward at the top": "注意力集中在底部，前馈层集中在顶部",
    "one layer repeated, as often as each position needs": "同一层反复使用，每个位置需要几次就用几次",
    "an encoder that learns from hidden words, then from few labels": "编码器先从被遮住的词学习，再用少量标注微调",
    "one layer for all depths, and a narrow word table": "所有深度共用一层，词表矩阵变窄",
    "switches between neighbours, wired so that all meet in log n steps": "相邻元素的交换单元，经洗牌连线，log n 步内两两相遇",
    "switches that are residual feed-forward networks": "交换单元换成残差前馈网络",
    "recurrence, and the first attention": "循环网络，以及最早的注意力",
    "gated convolutions, and attention in each layer": "门控卷积，每层都有注意力",
    "squares of an image read as words": "把图像的小方块当作词来读",
    "one MLP over places, one over channels, and no attention": "一个 MLP 混合位置，一个混合通道，没有注意力",
    "convolution, attention and MLP in one frame, and mixed": "卷积、注意力与 MLP 放进同一框架，也可混合",
    "a context as a linear map that every query is put through": "把上下文变成线性映射，每个查询都经过它",
    "the plain rival of the others, and detection's trunk": "其他模型的普通对手，也是检测的主干",
    "a decoder alone, which writes on; its letters also spell LSTM and convolutional language models": "只有解码器，接着往下写；换几个字母就是 LSTM 或卷积语言模型",
    "attention by hashing, reversible layers, axial positions: long texts in little memory": "哈希注意力、可逆层、轴向位置：用很少的内存读长文本",
}
SHOWN = 3  # presets whose sizes a row of the table shows; `allyouneed models` lists all
"""What models add, in Chinese. What is not here stands in English in README.zh.md too."""

GROUPS = {
    "model": "The numbers of the network. The defaults are those of the first preset; `--preset` sets many at once.",
    "data": "Where the data comes from, and how it becomes batches.",
    "training": "How the weights are learnt, saved and judged.",
    "decoding": "How what is written is searched or drawn.",
    "tuning": "How far what was trained before may move.",
}
PREFACE = """# Settings of {title}

<!-- Written by docs/make.py from the code; edit the descriptions there and run `make docs`. -->

Each may be given to `allyouneed train {task}` as `--set key=value`, as often as needed; `--help` prints the same
list. Values are read as YAML, and `null` means none. An unknown key, a wrong type or a value out of range is refused in
one sentence. The settings of a run stand in its `config.yaml`.
"""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def page_of(task: str) -> Path:
    """Translation is the main job; the others have pages of their own."""
    return ROOT / "docs" / ("settings.md" if task == "translation" else f"settings-{task}.md")


def settings_page(task: str) -> str:
    kind = JOBS[task].kind
    others = [f"[{JOBS[other].kind.title}]({page_of(other).name})" for other in JOBS if other != task]
    preface = PREFACE.format(task=task, title=kind.title)
    models = ", ".join(f"`{name}`" for name in kind.systems)
    parts = [
        preface,
        f"Models: {models}; the group `model` is that of `{kind.system}`.",
        f"Other tasks: {', '.join(others)}.",
    ]
    for group, rows in groupby(setting_rows(task), key=lambda row: row[0].split(".")[0]):
        cells = [(f"`{key}`", type_, f"`{default_of(type_, value)}`", text) for key, type_, value, text in rows]
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
    presets = [f"`{preset}` {count / 1e6:,.1f} M" for preset, count in row["parameters"].items()]
    more = [f"+ {len(presets) - SHOWN}"] if len(presets) > SHOWN else []
    orders = " / ".join(f"`{order}`" for order in row["orders"])
    tasks = ", ".join(row["tasks"])
    paper = f"[{row['paper']}]({row['url']})"
    return [f"`{row['name']}`", paper, adds, tasks, orders, "<br>".join([*presets[:SHOWN], *more]), row["parity"]]


def with_table(text: str, models: str, file: str) -> str:
    """The text with the table between its two markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{file} lacks the markers {BEGIN} and {END}, between which the table of models stands; put them back")
    return f"{before}{BEGIN}\n{models}\n{END}{after}"


def trace_schema() -> str:
    """The JSON schema of a trace's manifest. What has the format `array` names an array of the same file."""
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The manifest of an allyouneed trace, version {VERSION}",
        "description": "See trace.md beside this file. Strings of the format `array` are names of arrays in the trace.",
    }
    schema = Manifest.model_json_schema(mode="serialization")
    return (
        json.dumps(
            {**about, **{key: part for key, part in schema.items() if key not in about}}, indent=1, ensure_ascii=False
        )
        + "\n"
    )


def pages() -> dict[Path, str]:
    """Every file that is written here, with what it should hold."""
    made = {page_of(task): settings_page(task) for task in JOBS}
    made[ROOT / "docs" / "trace.schema.json"] = trace_schema()
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
