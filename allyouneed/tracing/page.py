"""A page that needs nothing but itself: style and skeleton of one HTML file, written whole or not at all."""

import os
from pathlib import Path

from allyouneed.tracing.svg import element, escape

# Nothing may be loaded from anywhere, whatever gets into the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #ffffff; --ink: #1d2330; --quiet: #5b6472; --line: #e2ded4;
  --accent: #0a5ea8; --good: #17744a; --mark: #fdeccb; --mark-line: #c77700; --code: #f1eee6;
  --blue: #0072b2; --orange: #c24e00; --green: #008060; --purple: #a0447c; }
@media (prefers-color-scheme: dark) { :root { --paper: #13161b; --card: #1a1e25; --ink: #e7e4dd; --quiet: #9ba4b1;
  --line: #2d333d; --accent: #7fb6ef; --good: #5cc593; --mark: #43320f; --mark-line: #e0a33a; --code: #20252d;
  --blue: #5aaee6; --orange: #f08a45; --green: #35c39a; --purple: #dc8fbc; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI",
  Roboto, "Noto Sans", "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; }
main { max-width: 1140px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: clamp(1.7rem, 5vw, 2.4rem); line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .4em; font-weight: 650; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 3.2rem 0 .5rem; padding-top: .9rem; border-top: 1px solid var(--line);
  font-weight: 650; letter-spacing: -.01em; }
h3 { font-size: 1.1rem; margin: 2.4rem 0 .3rem; font-weight: 620; }
p { max-width: 70ch; margin: .5em 0 1em; }
.lead { font-size: 1.1rem; color: var(--quiet); }
.kicker { color: var(--quiet); font-size: .85rem; letter-spacing: .04em; margin: 0 0 .6rem; }
nav { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 1.4rem 0 0; font-size: .93rem; }
a { color: var(--accent); text-underline-offset: 3px; }
nav a { padding: 6px 0; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 3px; }
figure { margin: 1.2rem 0; min-width: 0; }
figcaption, .note { color: var(--quiet); font-size: .9rem; line-height: 1.5; max-width: 70ch; margin-top: .5rem; }
svg { max-width: 100%; height: auto; display: block; overflow: visible; }
svg .axis, svg.scale { color: var(--quiet); fill: var(--quiet); }
.blue { --c: var(--blue); } .orange { --c: var(--orange); } .green { --c: var(--green); } .purple { --c: var(--purple); }
.line { stroke: var(--c); } .dot { stroke: var(--c); fill: var(--c); }
.map rect { stroke: var(--paper); stroke-width: .6; } .map rect:hover { stroke: var(--ink); stroke-width: 1.6; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 8px 40px; }
.charts svg.chart { width: 100%; max-width: 560px; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least, 230px)), 1fr));
  gap: 18px 20px; margin: 1rem 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px; margin: 1.6rem 0 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.facts div { background: var(--card); padding: 12px 16px; }
.facts dt { color: var(--quiet); font-size: .82rem; } .facts dd { margin: 0; font-size: 1.05rem; font-weight: 600; }
.facts dd small { display: block; font-weight: 400; font-size: .82rem; color: var(--quiet); }
.score { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; margin: 1rem 0 0; }
.score + .scroll { margin: 1.2rem 0; }
.score b { font-size: 3rem; line-height: 1.1; font-weight: 650; letter-spacing: -.03em; }
.score span { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: start; vertical-align: top; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td:last-child, th:last-child { padding-right: 0; }
td.says { color: var(--quiet); } .scroll { overflow-x: auto; }
code, pre { font: .88em/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "Noto Sans Mono", monospace; }
code { background: var(--code); padding: .1em .35em; border-radius: 4px; overflow-wrap: anywhere; }
pre { background: var(--code); padding: 14px 16px; border-radius: 8px; overflow-x: auto; } pre code { padding: 0;
  background: none; overflow-wrap: normal; }
.example { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; margin: 12px 0;
  display: grid; grid-template-columns: 7.5rem 1fr; gap: 2px 12px; }
.example dt { color: var(--quiet); font-size: .85rem; line-height: 1.9; } .example dd { margin: 0; overflow-wrap: anywhere; }
.example .same { color: var(--good); font-size: .85rem; white-space: nowrap; }
mark { background: var(--mark); color: inherit; border-bottom: 2px solid var(--mark-line); border-radius: 2px 2px 0 0;
  padding: 0 1px; }
details > summary { cursor: pointer; padding: 8px 0; color: var(--accent); }
.tabs { display: flex; flex-wrap: wrap; gap: 0 6px; margin-top: .8rem; }
.tabs > input { position: absolute; opacity: 0; pointer-events: none; }
.tabs > label { padding: 7px 14px; border-bottom: 3px solid transparent; cursor: pointer; color: var(--quiet); }
.tabs > label:hover { color: var(--ink); }
.tabs > input:checked + label { border-color: var(--accent); color: var(--ink); font-weight: 600; }
.tabs > input:focus-visible + label { outline: 2px solid var(--accent); outline-offset: -2px; border-radius: 4px; }
.tabs > div { order: 1; width: 100%; display: none; border-top: 1px solid var(--line); }
.tabs > input:checked + label + div { display: block; }
footer { margin-top: 3.5rem; color: var(--quiet); font-size: .88rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@media (max-width: 560px) { main { padding: 24px 16px 56px; } .example { grid-template-columns: 1fr; gap: 0; }
  .example dd { margin-bottom: 8px; } .tabs > label { padding: 9px 10px; } h2 { margin-top: 2.4rem; }
  .facts { grid-template-columns: 1fr 1fr; } svg.chart g { font-size: 13px; } }
@media print { .tabs > div { display: block; break-inside: avoid; } .tabs > label { display: none; } nav { display: none; } }
"""


def page(title: str, *sections: str) -> str:
    """The whole document."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    body = element("main", *sections)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def section(name: str, heading: str, *content: str) -> str:
    return element("section", element("h2", escape(heading)), *content, id=name)


def captioned(drawing: str, caption: str) -> str:
    """A figure with one sentence on what to see in it."""
    return element("figure", drawing, element("figcaption", escape(caption)))


def tabs(name: str, panels: list[tuple[str, str]], chosen: int = 0) -> str:
    """Panels of which one is open, without any script: the arrow keys move between them."""
    parts = []
    for i, (label, content) in enumerate(panels):
        at, checked = f"{name}-{i}", "checked" if i == chosen else None
        parts.append(element("input", type="radio", name=name, id=at, checked=checked))
        parts.append(element("label", escape(label), for_=at))
        parts.append(element("div", content))
    return element("div", *parts, class_="tabs", role="group", aria_label=name)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Cells are markup."""
    head = element("thead", element("tr", *(element("th", escape(head), scope="col") for head in heads)))
    body = element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows))
    return element("div", element("table", head, body), class_="scroll")


def write_whole(path: Path, text: str) -> None:
    """Writes beside the file and renames, so that a reader never sees half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
