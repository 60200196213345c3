"""The explorer: one HTML page with a trace inside, which needs no server, no network and nothing installed.

Its script is plain JavaScript in `web/`, a file for each screen. They are joined here without any build tool: in the order
of their imports, each becomes a function that gives out what the file exports, and one function holds all. Whatever
text a trace holds reaches the page as JSON or as text, never as markup, and the page's policy lets only its own script run.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from allyouneed.errors import UserError
from allyouneed.tracing.svg import escape
from allyouneed.tracing.trace import Trace

WEB = Path(__file__).parent / "web"
IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)

OPENING = (
    "Opening the trace … If this sentence stays, the page was cut short: write it once more. "
    "正在打开……若此句不消失，则页面不完整，请重新生成。"
)
SCRIPTLESS = "This page draws with JavaScript, which is switched off here. 此页需要启用 JavaScript。"


def page(trace: Trace, live: Mapping[str, Any] | None = None, other: Trace | None = None) -> str:
    """The whole page. `live` tells it where a running model answers; `other` is a second trace to compare with."""
    script = bundle()
    title = " · ".join(part for part in (trace.manifest.title, trace.manifest.model.name) if part)
    blocks = [_data("words-zh", words()), *_trace(trace, "0"), *(_trace(other, "1") if other else [])]
    if live is not None:
        blocks.append(_data("live", live))
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(script, live is not None)}">'
        f"<title>{escape(title)}</title>\n<style>{style()}</style>"
    )
    body = f'<div id="app"><p class="opening">{OPENING}</p></div>\n<noscript><p class="opening">{SCRIPTLESS}</p></noscript>'
    end = f'<script id="code">{script}</script>'
    return "\n".join(
        ["<!DOCTYPE html>", f'<html lang="en"><head>{head}</head>\n<body>{body}', *blocks, end, "</body></html>", ""]
    )


def policy(script: str, live: bool = False) -> str:
    """What the page may do: run this one script, show what is inside it, and, if live, ask the server it came from."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ["default-src 'none'", f"script-src 'sha256-{digest}'", "style-src 'unsafe-inline'", "img-src data: blob:"]
    return "; ".join([*rules, *(["connect-src 'self'"] if live else []), "base-uri 'none'", "form-action 'none'"])


def bundle(start: str = "app.js") -> str:
    """All files that `start` needs, as one script."""
    files = _ordered(WEB / start)
    _check_names(files)
    script = '(() => {\n"use strict";\n' + "\n".join(_closed(path, text) for path, text in files.items()) + "})();\n"
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("the explorer's script holds text that would end its element")
    return script


def style() -> str:
    """The style sheets: the common one, then those of screens."""
    return "\n".join(
        path.read_text(encoding="utf-8") for path in (WEB / "style.css", *sorted((WEB / "screens").glob("*.css")))
    )


def words() -> dict[str, str]:
    """The Chinese interface: English text to Chinese text, from all dictionaries."""
    files = (WEB / "zh.json", *sorted((WEB / "screens").glob("zh*.json")))
    return {key: text for path in files for key, text in json.loads(path.read_text(encoding="utf-8")).items()}


def _ordered(start: Path) -> dict[Path, str]:
    """Files by path, each after those that it imports."""
    done: dict[Path, str] = {}

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        if path in above:
            raise ValueError(f"{path.name} imports itself by way of {' -> '.join(p.name for p in above)}")
        if path in done:
            return
        text = path.read_text(encoding="utf-8")
        for _, name in IMPORT.findall(text):
            visit((path.parent / name).resolve(), (*above, path))
        if re.search(r"^import ", IMPORT.sub("", text), re.MULTILINE):
            raise ValueError(f'{path.name}: an import must stand on one line as import {{ a, b }} from "./x.js";')
        done[path] = text

    visit(start.resolve(), ())
    return done


def _closed(path: Path, text: str) -> str:
    """A file as a function, so that its private names stay its own."""
    names = ", ".join(EXPORT.findall(text))
    body = EXPORT.sub("", IMPORT.sub("", text)).strip()
    return f"// {path.relative_to(WEB)}\nconst {{ {names} }} = (() => {{\n{body}\nreturn {{ {names} }};\n}})();\n"


def _check_names(files: Mapping[Path, str]) -> None:
    """What is exported shares one scope, so no two files may export a name; what is imported must be exported there."""
    owner: dict[str, Path] = {}
    for path, text in files.items():
        for name in EXPORT.findall(text):
            if name in owner:
                raise ValueError(f"{path.name} and {owner[name].name} both export {name}; rename one")
            owner[name] = path
    for path, text in files.items():
        for names, source in IMPORT.findall(text):
            for name in (part.strip() for part in names.split(",") if part.strip()):
                if owner.get(name) != (path.parent / source).resolve():
                    raise ValueError(f"{path.name} imports {name} from {source}, which does not export it")


def _data(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'<script type="application/json" id="{name}">{_inert(text)}</script>'


def _inert(json_text: str) -> str:
    """JSON in which no markup can begin."""
    return json_text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _trace(trace: Trace, which: str) -> Iterable[str]:
    yield _data("manifest" if which == "0" else f"manifest-{which}", trace.manifest.model_dump_json())
    for name, array in trace.arrays.items():
        yield _array(name, np.asarray(array), which)


def _array(name: str, array: np.ndarray, which: str) -> str:
    """Little-endian numbers as base64, which the page decodes when it first needs them."""
    if array.dtype.name not in ("float32", "float16", "int32", "uint8"):
        raise UserError(f"array {name!r} of the trace is {array.dtype}, which the page cannot read")
    raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    shape = ",".join(str(size) for size in array.shape)
    place = f'data-array="{escape(name)}" data-trace="{which}" data-dtype="{array.dtype.name}" data-shape="{shape}"'
    return f'<script type="application/octet-stream" {place}>{base64.b64encode(raw).decode()}</script>'
