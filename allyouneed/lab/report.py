"""The page of claims: `docs/claims.md`, made from the `lab.json` of full runs, with the pictures beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.claims import CLAIMS
from allyouneed.training.checkpoint import write_text

HEAD = """# Claims

<!-- Written by `allyouneed lab report` from full runs; do not edit by hand. -->

What the papers of the family say, run again at a scale that two processor cores can bear. Each claim has a rule that
was written down before it was run; the verdict is one of three: it holds, it does not hold, or it is not separable at
this scale. Intervals are 95 % over seeds. `allyouneed lab run NAME` runs a claim again; `--quick` shows in under two
minutes that its experiment works.
"""


def write_report(runs: Path, output: Path) -> list[str]:
    """Writes the page and copies the pictures into a folder of the page's name; returns what to say."""
    found = {name: record for name in CLAIMS if (record := _record(runs / name / "lab.json"))}
    if not found:
        raise UserError(f"{runs} holds no full run of a claim; run one first: allyouneed lab run NAME")
    pictures = output.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    for name in found:
        drawn = (runs / name / "picture.svg").read_text(encoding="utf-8")
        write_text(pictures / f"{name}.svg", drawn)
    body = [HEAD, _summary(found), *(_section(record, pictures.name) for record in found.values())]
    write_text(output, "\n".join(body))
    missing = [name for name in CLAIMS if name not in found]
    return [f"{output}: {len(found)} claims", *([f"not yet run in full: {', '.join(missing)}"] if missing else [])]


def _record(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    record = dict(json.loads(path.read_text(encoding="utf-8")))
    return {} if record["quick"] else record


def _summary(found: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [f"[{name}](#{name.replace('_', '-')})", record["says"], record["verdict"]] for name, record in found.items()
    ]
    return markdown(["name", "claim", "verdict"], rows) + "\n"


def _section(record: Mapping[str, Any], pictures: str) -> str:
    name = record["claim"]
    return f"""## {name.replace("_", "-")}

{record["says"]} ({record["source"]}, <{record["url"]}>)

**{record["verdict"].capitalize()}**: {record["because"]}.

{markdown(**record["paper"])}

{markdown(**record["ours"])}

![{record["says"]}]({pictures}/{name}.svg)

Setup: {record["setup"]} Rule: {record["rule"]} {record["seeds"]} seed{"s" if record["seeds"] > 1 else ""}, \
{record["seconds"] / 60:.1f} minutes in all, {record["date"]}, {record["machine"]}: `allyouneed lab run {name}`.
"""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
