"""Tables for people: every setting explained, every model listed. The docs are generated from the same rows."""

from functools import cache
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from allyouneed.models.catalogue import CATALOGUE
from allyouneed.recipes.job import settings_class
from allyouneed.recipes.jobs import job_named
from allyouneed.settings import describe


def setting_rows(task: str = "translation", system: str | None = None) -> list[tuple[str, str, str, str]]:
    """(key, type, default, explanation) of every setting of a run of the task."""
    kind = job_named(task).kind
    rows = describe(settings_class(kind, system or kind.system))
    return [
        (row.key, row.type, "none" if row.default is None else str(row.default), row.explanation)
        for row in rows
        if "." in row.key
    ]


def print_settings(task: str) -> None:
    table = Table(
        "setting", "default", "what it does", title="Settings for --set key=value", title_justify="left", box=None
    )
    for key, _, default, explanation in setting_rows(task):
        table.add_row(key, default, explanation)
    Console().print(table)


@cache
def parameter_count(name: str, config: Any) -> int:
    """Counted on the meta device, so that even a large model costs nothing."""
    with torch.device("meta"):
        model = CATALOGUE[name].build(config)
    return sum(parameter.numel() for parameter in model.parameters())


def model_rows() -> list[dict[str, Any]]:
    """The catalogue as plain data."""
    return [
        {
            "name": name,
            "paper": system.paper,
            "url": system.url,
            "adds": system.adds,
            "task": system.task,
            "tasks": list(system.builds),
            "orders": list(system.orders(next(iter(system.presets.values())))),
            "parameters": {preset: parameter_count(name, config) for preset, config in system.presets.items()},
            "parity": system.parity,
        }
        for name, system in CATALOGUE.items()
    ]


def print_models() -> None:
    table = Table("model", "paper", "order", "parameters", "trained for", "equal to (1e-5)")
    table.columns[0].no_wrap = table.columns[3].no_wrap = True
    for row in model_rows():
        sizes = "\n".join(f"{preset} {count / 1e6:,.1f} M" for preset, count in row["parameters"].items())
        table.add_row(
            row["name"], row["paper"], "\n".join(row["orders"]), sizes, "\n".join(row["tasks"]), row["parity"]
        )
    Console().print(table)
