"""docs/trace.md keeps its word: its readers read what we write, its schema is that of the manifest, its examples run."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traces

from allyouneed.tracing.trace import Trace

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The fenced block of a language that holds some words."""
    found = [code for kind, code in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.M | re.S) if kind == language]
    (code,) = [code for code in found if holding in code]
    return code


def test_the_reader_in_python_reads_all(tmp_path: Path) -> None:
    trace = traces.grid()
    path = trace.save(tmp_path / "x.trace")
    inside: dict[str, Any] = {}
    exec(block("python", "def read_trace"), inside)
    manifest, arrays = inside["read_trace"](path)
    assert manifest == json.loads(trace.manifest.model_dump_json())
    assert set(arrays) == set(trace.arrays)
    for name, array in trace.arrays.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_the_reader_in_javascript_reads_all(chromium: Any, tmp_path: Path) -> None:
    trace = traces.translator()
    content = base64.b64encode(trace.save(tmp_path / "x.trace").read_bytes()).decode()
    page = chromium.new_page()
    read = f"""content => {{
        {block("js", "function readTrace")}
        const {{ manifest, arrays }} = readTrace(Uint8Array.from(atob(content), c => c.charCodeAt(0)).buffer);
        return [manifest, Object.fromEntries(Object.entries(arrays).map(([k, a]) => [k, [a.shape, Array.from(a.data)]]))];
    }}"""
    manifest, arrays = page.evaluate(read, content)
    page.close()
    assert manifest == json.loads(trace.manifest.model_dump_json())
    for name, array in trace.arrays.items():
        shape, numbers = arrays[name]
        assert shape == list(array.shape) and numbers == array.ravel().tolist()


def test_the_schema_describes_what_is_written() -> None:
    """Each field that a trace writes is in the published schema, and no other is allowed."""
    schema = json.loads((ROOT / "docs" / "trace.schema.json").read_text(encoding="utf-8"))
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
    for trace in (traces.translator(), traces.grid(), traces.large(64, 1, 2)):
        written = json.loads(trace.manifest.model_dump_json())
        jsonschema.validate(written, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**written, "titel": ""}, schema)


def test_the_schema_marks_names_of_arrays() -> None:
    schema = json.loads((ROOT / "docs" / "trace.schema.json").read_text(encoding="utf-8"))
    kept = schema["$defs"]["Layer"]["properties"]
    arrays = {name for name, part in kept.items() if any(way.get("format") == "array" for way in part.get("anyOf", []))}
    assert arrays == {"weights", "q", "k", "visible", "overview", "pooled"}


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block("python", "ayn.record"), {})
    exec(block("python", "Trace.load"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"cat.trace", "cat.svg", "cat.html"}


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "gallery").glob("*.trace")), ids=lambda path: path.stem)
def test_the_gallery_can_be_opened(path: Path) -> None:
    """Its traces are of this format still, and say of themselves that they are right."""
    trace = Trace.load(path)
    errors = [layer.error for relation in trace.manifest.relations.values() for layer in relation.layers]
    assert errors and all(error is not None and error < 1e-5 for error in errors)
    assert path.with_suffix(".svg").exists() and "<!DOCTYPE html>" in trace.html()[:20]
