"""Whatever text comes in: a pipeline, or a refusal that says why. Never another error, never an effect."""

import json
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodewise.core.compat.mlopx import UnreadableScript
from nodewise.core.ir import read_program
from tests.support import mlopx_scripts as scripts
from tests.support.examples import examples
from tests.support.mlopx_scripts import COMPONENTS, LINEAR, SCRIPT, read

# What a script says in a string is its own business: Python warns of odd escapes while it parses.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
LONGEST_SECONDS = 15.0
"""Of computing time: the machine may be busy."""


def accepted(**parts: Any) -> bool:
    """Whether it is read; what is read must be IR that our own reader takes."""
    begun = process_time()
    try:
        converted = read(**parts)
    except UnreadableScript as error:
        # It can be shown and logged, whatever stands in it.
        return not str(error).encode()
    finally:
        assert process_time() - begun < LONGEST_SECONDS
    json.dumps([converted.pipeline_spec, converted.platforms, converted.notes], allow_nan=False)
    read_program(converted.pipeline_spec, converted.platforms)
    return True


LINES = sorted({line for text in (SCRIPT, *COMPONENTS.values()) for line in text.splitlines()})
SNIPPETS = st.sampled_from(
    [
        *LINES, "c = Component('i', data_preprocessing)", "pipeline.add(", "**", "*a", "lambda: 1", "f'{a}'", "a = [a, a]",
        "global a", "for a in b:", "    pass", "def f():", "class A:", "import x as pipeline", "from mlopx import *", "del pipeline",
        "async def f(): await x", "match a:\n    case [b, *c]: pass", "(a := Component)", "@d", "'''", "\\", "\t", "\x0c", "\u2028",
        "x = 0x" + "f" * 5000, "x: int", "return", "yield", "{**a}", "a[b] = c", "a.b = c", "with a as b: pass", "try: a\nfinally: b",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(SNIPPETS, max_size=30).map("\n".join),
    st.text(max_size=300),
    st.binary(max_size=200),
)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """The text with a piece cut out, doubled, or replaced."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 60)))
    piece = draw(st.one_of(st.just(""), SNIPPETS, st.text(max_size=5), st.just(text[start:end] * 2)))
    return text[:start] + piece + text[end:]


@given(script=st.one_of(TEXTS, damaged(SCRIPT)))
@example(script=SCRIPT)
@settings(max_examples=examples(150))
def test_any_script_is_read_or_refused(script: str | bytes) -> None:
    accepted(script=_encodable(script))


@given(
    name=st.sampled_from(sorted(COMPONENTS)),
    text=st.one_of(TEXTS, *(damaged(text) for text in COMPONENTS.values())),
)
@settings(max_examples=examples(150))
def test_any_component_is_read_or_refused(name: str, text: str | bytes) -> None:
    accepted(components={**COMPONENTS, name: _encodable(text)})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged_metadata(draw: st.DrawFn) -> Any:
    """The metadata with one value replaced by any other."""
    document: Any = json.loads(json.dumps(draw(st.sampled_from([LINEAR, scripts.CNN]))))
    place = document
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(list(keys)))
        if not isinstance(place[key], dict | list) or draw(st.booleans()):
            place[key] = draw(VALUES)
            return document
        place = place[key]
    return document


@given(metadata=st.one_of(damaged_metadata(), VALUES, st.binary(max_size=100)))
@settings(max_examples=examples(150))
def test_any_metadata_are_read_or_refused(metadata: Any) -> None:
    raw = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    accepted(metadata=raw)


@given(name=st.text(max_size=300), file=st.text(max_size=150))
@settings(max_examples=examples(40))
def test_any_name_is_taken_or_refused(name: str, file: str) -> None:
    accepted(name=name)
    accepted(components={**COMPONENTS, file: "def f(): pass"})


@pytest.mark.parametrize(
    "script",
    [
        "f" + "(f" * 199 + ")" * 199,
        "x = " + "lambda: " * 180 + "1",
        "a = 'x'\n" * 1000,
        "".join(f"x{n} = [x{n - 1 if n else 'y'}, x{n - 1 if n else 'y'}]\n" for n in range(900)),
        "".join(f"f({n}, {{}}, [])\n" for n in range(1000)),
        "x = f'" + "{a}" * 20_000 + "'",
        "if x: pass\n" + "elif x: pass\n" * 5000,
        "\\\n" * 40_000,
        "(" * 99_000,
        "'" * 99_999,
        "\n" * 99_999,
        ";".join(["a = lambda: b"] * 1000),
        "#" + "x" * 99_000,
        "from a import " + ", ".join(f"b{n}" for n in range(15_000)),
        "x = {" + ", ".join(f"'{n}': {n}" for n in range(7_000)) + "}\n" + "y = [x]\n" * 900,
    ],
    ids=range(15),
)
def test_texts_that_are_made_to_take_long_do_not(script: str) -> None:
    accepted(script=script)
    component = f"{script}\ndef model_training():\n    return x, a, b\n"[-99_999:]
    accepted(components={**COMPONENTS, "model_training": component})


def test_many_large_components_are_read_in_time_or_refused() -> None:
    body = "".join(f"v{n} = lambda: (v{(n + 1) % 900}, {n})\n" for n in range(900))
    many = {f"c{n}": f"{body}def c{n}():\n    return v0()\n" for n in range(9)}
    imports = "".join(f"from {name} import {name}\n" for name in many)
    members = ", ".join(f"Component('i', {name})" for name in many)
    script = (
        f"from mlopx.pipelines import Component, Pipeline\n{imports}"
        f"pipeline = Pipeline('p', 'm')\npipeline.add([{members}])\n"
    )
    assert accepted(script=script, components=many)
    assert not accepted(script=script, components={**many, "more": "#" * 90_000})


def _encodable(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")


MALICE = """
import os, subprocess, socket, sys, ctypes, shutil
import antigravity
from pathlib import Path
open("{mark}", "w").write("ran")
os.system("touch {mark}")
subprocess.Popen(["touch", "{mark}"])
__import__("os").mkdir("{mark}")
exec("open('{mark}', 'w')")
eval(compile("open('{mark}', 'w')", "x", "eval"))
socket.create_connection(("127.0.0.1", 9))
[open("{mark}", "w") for _ in range(3)]
x = (lambda: Path("{mark}").touch())()
Path("{mark}").touch()
print(open("{mark}", "w"))
class Evil(open("{mark}", "w").__class__, metaclass=open("{mark}", "w")):
    y = os.system("touch {mark}")
def decorated(a=open("{mark}", "w"), *, b: open("{mark}", "w") = os.fork()) -> open("{mark}", "w"):
    pass
z = f"{{open('{mark}', 'w')}}"
with open("{mark}", "w") as file:
    pass
try:
    os.remove("/")
finally:
    os.system("touch {mark}")
assert os.system("touch {mark}")
"""

WATCHER = """
import json, sys
from pathlib import Path
from nodewise.core.compat.mlopx import UnreadableScript, read_upload

order = json.load(open(sys.argv[1]))

def attempt(parts):
    return read_upload(
        name="p", pipeline=parts["script"].encode(), metadata=parts["metadata"].encode(),
        components=[(name, text.encode()) for name, text in parts["components"].items()],
    )

attempt(order["harmless"])  # whatever the reader itself loads late is loaded now
seen = []
watching = True

# `ast.parse` and `symtable` compile to a tree and to a table: that gives no code, and running code is the event `exec`.
QUIET = {"compile", "builtins.id", "sys._getframe"}

def hook(event, args):
    if watching and event not in QUIET:
        seen.append([event, repr(args)[:200]])

sys.addaudithook(hook)
answers = []
for parts in order["malicious"]:
    try:
        attempt(parts)
        answers.append("read")
    except UnreadableScript as error:
        answers.append(str(error))
watching = False
print(json.dumps({"seen": seen, "answers": answers}))
"""


def test_malicious_scripts_are_read_without_any_effect(tmp_path: Path) -> None:
    """An audit hook of Python sees every file, process, import, socket and `exec` of the process that reads them."""
    mark = tmp_path / "mark"
    malice = MALICE.format(mark=mark)
    evil = "from mlopx.pipelines.artifacts import OutputDataset\n"
    evil_components = {
        "top": evil + malice + "def top():\n    pass\n",
        "default": f"def default(a: str = open('{mark}', 'w')):\n    pass\n",
        "decorator": f"@open('{mark}', 'w')\ndef decorator():\n    pass\n",
        "annotation": f"def annotation(a: open('{mark}', 'w')):\n    pass\n",
        "returned": f"def returned() -> open('{mark}', 'w'):\n    pass\n",
        "helped": evil + malice + "def helped():\n    return x, z, Evil, decorated\n",
    }
    projects = [
        {
            "script": f"from mlopx.pipelines import Component, Pipeline\nfrom {name} import {name}\n{malice}\n"
            f"c = Component('i', {name})\npipeline = Pipeline('p', 'm')\npipeline.add([c])\n{malice}\npipeline.submit('u')\n",
            "components": {f"{name}.py": text},
            "metadata": json.dumps(LINEAR),
        }
        for name, text in evil_components.items()
    ]
    harmless = {
        "script": SCRIPT,
        "components": {f"{name}.py": text for name, text in COMPONENTS.items()},
        "metadata": json.dumps(LINEAR),
    }
    order = tmp_path / "order.json"
    order.write_text(json.dumps({"harmless": harmless, "malicious": projects}))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCHER, str(order)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seen"] == []
    assert not mark.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["order.json"]
    answers = dict(zip(evil_components, found["answers"], strict=True))
    assert answers["top"] == "read"
    assert answers["helped"] == "read", "what a function uses travels to its node, unrun"
    assert "must be a literal" in answers["default"]
    assert "decorator" in answers["decorator"]
    assert "type of 'a'" in answers["annotation"]
    assert "can return" in answers["returned"]


def test_the_audit_hook_would_see_a_script_that_runs(tmp_path: Path) -> None:
    """The proof above is none if the hook sees nothing: here the same hook sees an import, a file and a process."""
    mark = tmp_path / "mark"
    code = WATCHER.replace("attempt(parts)\n", f"exec(\"import this; open('{mark}', 'w')\")\n", 1)
    code = code.replace("        attempt(parts)\n", f"        exec(\"open('{mark}', 'w')\")\n")
    harmless = {"script": SCRIPT, "components": {}, "metadata": "{}"}
    order = tmp_path / "order.json"
    order.write_text(json.dumps({"harmless": harmless, "malicious": [harmless]}))
    code = code.replace('attempt(order["harmless"])', "pass")
    done = subprocess.run(
        [sys.executable, "-c", code, str(order)], capture_output=True, text=True, check=False
    )
    events = {event for event, _ in json.loads(done.stdout.splitlines()[-1])["seen"]}
    assert {"exec", "open"} <= events
    assert mark.exists()
