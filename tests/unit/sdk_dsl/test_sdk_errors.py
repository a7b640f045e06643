"""What a user can write wrongly: each error names his file and his line."""

from pathlib import Path
from textwrap import dedent

import pytest

from nodewise.sdk import PipelineError, Resources, compile, load_pipelines  # noqa: A004

PRELUDE = """\
from datetime import timedelta
from nodewise.sdk import *
from nodewise.sdk import Out, In
import json
HERE = 3
@task
def make(rows: int, data: Out[Dataset]) -> float:
    return 1.0
@task
def use(data: In[Dataset], rate: float = 0.5, names: list = []):
    pass
"""
FIRST = PRELUDE.count("\n") + 1
"""The line that each case below starts on."""


def compile_all(file: Path) -> None:
    for pipeline in load_pipelines(file).values():
        compile(pipeline)


def fails(tmp_path: Path, code: str) -> PipelineError:
    file = tmp_path / "mine.py"
    file.write_text(PRELUDE + dedent(code))
    with pytest.raises(PipelineError) as refusal:
        compile_all(file)
    assert refusal.value.place is not None
    assert Path(refusal.value.place.file) == file
    return refusal.value


DEFINITIONS = [
    ("@task\ndef f(x): pass", 2, "task 'f': 'x' has no type"),
    ("@task\ndef f(x: bytes): pass", 2, "'x' must be one of str, bool, int, float, list, dict"),
    ("@task\ndef f(x: Dataset): pass", 2, "write In[Dataset] or Out[Dataset]"),
    ("@task\ndef f(x: In[int]): pass", 2, "In[...] or Out[...] of one of Artifact"),
    ("@task\ndef f(x: 'Nope'): pass", 2, "a type cannot be resolved"),
    ("@task\ndef f(*x: int): pass", 2, "without * or /"),
    ("@task\ndef f(x: int, /): pass", 2, "without * or /"),
    ("@task\ndef f(x: int | None): pass", 2, "give it a default of None"),
    ("@task\ndef f(x: int = 'a'): pass", 2, "the default of 'x' must be a plain int"),
    ("@task\ndef f(x: dict = {1: 2}): pass", 2, "the default of 'x' must be a plain dict"),
    ("@task\ndef f(Output: int): pass", 2, "may be called 'Output'"),
    ("@task\ndef f() -> set: pass", 2, "'return' must be one of"),
    ("@task(kind='cooking')\ndef f(): pass", 2, "kind must be one of preprocessing, training"),
    ("@task(cpu=3)\ndef f(): pass", 2, "has no option 'cpu'; options: kind, resources"),
    ("@task(timeout='soon')\ndef f(): pass", 2, "a duration is written as"),
    ("@task(timeout=0)\ndef f(): pass", 2, "a duration must be positive"),
    ("@task(resources=3)\ndef f(): pass", 2, "resources must be Resources(...)"),
    ("@task(dataset={'rows': 3})\ndef f(): pass", 2, "unexpected keyword argument 'rows'"),
    ("@task\nclass F: pass", 1, "@task goes on a plain function"),
    ("@task\nasync def f(): pass", 1, "@task goes on a plain function"),
    ("@pipeline(prio=3)\ndef p(): pass", 2, "pipeline 'p' has no option 'prio'; options: name"),
    ("@pipeline(deadline='x')\ndef p(): pass", 2, "a duration is written as"),
    ("@pipeline\ndef p(data: In[Dataset]): make(rows=1)", 2, "cannot take the artifact 'data' but as a step"),
    ("@pipeline\ndef p(data: Out[Dataset]): pass", 2, "a pipeline returns what it gives"),
    ("@task(packages='numpy')\ndef f(): pass", 2, "packages must be a list of pip requirements, is 'numpy'"),
    ("@task(packages_to_install=['numpy'])\ndef f(): pass", 2, "here it is called 'packages'"),
    ("@task(base_image='x')\ndef f(): pass", 2, "here it is called 'image'"),
    ("@task(cache='yes')\ndef f(): pass", 2, "cache must be True or False, is 'yes'"),
    ("@task(retries=-1)\ndef f(): pass", 2, "retries must be a whole number, is -1"),
    ("@task\ndef f() -> Dataset: pass", 2, "write In[Dataset] or Out[Dataset]"),
    ("@task\ndef f(x: list[Dataset]): pass", 2, "write In[list[...]]"),
    ("@task\ndef f(x: Out[list[Dataset]]): pass", 2, "a task writes one artifact of a name"),
    ("@container_task(image='')\ndef f(): return ['x']", 2, "image must be text, is ''"),
    ("@container_task(image='a', packages=['x'])\ndef f(): return ['x']", 2, "has no option 'packages'"),
    ("@container_task(image='a')\nclass F: pass", 1, "@container_task goes on a plain function"),
    ("@pipeline\ndef p(x): pass", 2, "pipeline 'p': 'x' has no type"),
]


@pytest.mark.parametrize(("code", "line", "rule"), DEFINITIONS)
def test_a_wrong_definition(tmp_path: Path, code: str, line: int, rule: str) -> None:
    error = fails(tmp_path, code)
    assert rule in str(error)
    assert error.place is not None
    assert error.place.line == FIRST + line - 1


CALLS = [
    ("use(foo=1)", "task 'use' has no input named 'foo'; its inputs: data, rate, names"),
    ("make()", "task 'make' needs rows"),
    ("make(1, 2)", "takes 1 inputs, 2 were given"),
    ("make(1, rows=2)", "has two values for the input 'rows'"),
    ("make(rows='x')", "the input 'rows' must be a whole number, is 'x'"),
    ("make(rows=1.5)", "the input 'rows' must be a whole number, is 1.5"),
    ("use(data=make(rows=1).nope)", "task 'make' has no output named 'nope'; its outputs: "),
    ("use(data=make(rows=1).outputs['x'])", "has no output named 'x'"),
    ("use(data=use(data=make(rows=1).data))", "has no single output; its outputs: none"),
    ("use(data=make(rows=1))", "Incompatible argument passed to the input 'data'"),
    ("use(data='x')", "task 'use'"),
    ("make(rows=n / 0)", "the parameter 'n' of pipeline 'p' is not known while the pipeline is written"),
    ("[make(rows=x) for x in n]", "the parameter 'n' of pipeline 'p' is not known"),
    ("1 / 0", "ZeroDivisionError"),
    ("make(rows=1).with_resources(Resources(memory='4Q'))", "must be an amount of memory"),
]


@pytest.mark.parametrize(("call", "rule"), CALLS)
def test_a_wrong_call(tmp_path: Path, call: str, rule: str) -> None:
    error = fails(tmp_path, f"@pipeline\ndef p(n: int = 3):\n    make(rows=n)\n    {call}\n")
    assert rule in str(error)
    assert error.place is not None
    assert error.place.line == FIRST + 3


UNKNOWN = [
    "if r.output > 5: pass", "if r.output: pass", "not r.output", "not r.output == 1", "r.output != 1 and 2",
    "0 < r.output < 1", "1 in [r.output]", "(r.output > 1) | (r.output < 0)", "(r.output > 1) & (n > 0)", "~(n > 1)",
    "max(r.output, 1)", "make(rows=r.output > 1)", "r.output + 1", "1 + r.output", "'a' + r.output", "r.output ** 2", "-r.output",
    "for x in r.output: pass", "len(r.output)", "int(r.output)", "float(r.output)", "round(r.output)",
    "r.output[0]", "1 in r.output", "f'{r.output:.2f}'", "r.output.real", "range(r.output)", "[1][r.output]",
    "total = r.output; total += 1", "r.data.path",
    "if r: pass", "if r > 5: pass", "a, b = r", "r[0]",
    "if n: pass", "if n > 2: pass", "range(n)", "n - 1", "make(rows=1).require(accelerator=n)",
]  # fmt: skip


@pytest.mark.parametrize("code", UNKNOWN)
def test_what_is_not_known_yet_decides_nothing(tmp_path: Path, code: str) -> None:
    error = fails(tmp_path, f"@pipeline\ndef p(n: int = 3):\n    r = make(rows=n)\n    {code}\n")
    assert "is not known while the pipeline is written" in str(error)
    assert "with when(...)" in str(error)
    assert "inside" in str(error)
    assert error.place is not None
    assert error.place.line == FIRST + 3


def test_what_is_not_known_yet_may_stand_in_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    code = (
        "@pipeline\ndef p(n: int = 3):\n    r = make(rows=n)\n    say(text=f'{r.output} {r} {n!s} {[n]}')\n"
    )
    file.write_text(PRELUDE + "@task\ndef say(text: str): pass\n" + code)
    root = compile(load_pipelines(file)["p"]).pipeline_spec["root"]
    text = root["dag"]["tasks"]["say"]["inputs"]["parameters"]["text"]["runtimeValue"]["constant"]
    of_task = "{{$.inputs.parameters['pipelinechannel--make-Output']}}"
    of_pipeline = "{{$.inputs.parameters['pipelinechannel--n']}}"
    assert text == f"{of_task} {of_task} {of_pipeline} [{of_pipeline}]"


OUTSIDE = [
    ("return json.dumps(1)", "task 'f' uses 'json' from outside itself"),
    ("return HERE", "import or define 'HERE' inside the function"),
    ("return [HERE for _ in range(3)]", "uses 'HERE'"),
    ("return make", "uses 'make'"),
    ("return (lambda: timedelta(1))()", "uses 'timedelta'"),
]


@pytest.mark.parametrize(("body", "rule"), OUTSIDE)
def test_a_task_that_uses_what_does_not_travel(tmp_path: Path, body: str, rule: str) -> None:
    code = f"@task\ndef f() -> str:\n    x = 1\n    {body}\n@pipeline\ndef p():\n    f()\n"
    error = fails(tmp_path, code)
    assert rule in str(error)
    assert error.place is not None
    assert error.place.line == FIRST + 3


@pytest.mark.parametrize(
    "body",
    ["import json; return json.dumps(1)", "return str(Dataset)", "return f.__name__", "return print and 'x'"],
)
def test_a_task_that_uses_only_what_is_there(tmp_path: Path, body: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PRELUDE + f"@task\ndef f() -> str:\n    {body}\n@pipeline\ndef p():\n    f()\n")
    assert compile(load_pipelines(file)["p"]).name == "p"


def test_what_is_around_a_task_does_not_travel_either(tmp_path: Path) -> None:
    error = fails(tmp_path, "def outer(x):\n    @task\n    def f() -> int:\n        return x\n    return f\nf = outer(1)\n@pipeline\ndef p():\n    f()\n")  # fmt: skip
    assert "uses 'x' from outside itself" in str(error)


def test_a_pipeline_without_tasks(tmp_path: Path) -> None:
    assert "Task is missing" in str(fails(tmp_path, "@pipeline\ndef p(): pass\n"))


def test_a_failed_compilation_leaves_nothing_behind(tmp_path: Path) -> None:
    fails(tmp_path, "@pipeline\ndef p():\n    1 / 0\n")
    file = tmp_path / "good.py"
    file.write_text(PRELUDE + "@pipeline\ndef good():\n    make(rows=1)\n")
    assert compile(load_pipelines(file)["good"]).name == "good"


def test_the_file_is_named_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(fails(tmp_path, "@task\ndef f(x): pass")).startswith(f"mine.py:{FIRST + 1}: task 'f'")


@pytest.mark.parametrize("wrong", [{"cpu": "x"}, {"memory": "4Q"}, {"gpu": -1}, {"cpu": -1}])
def test_resources_check_themselves(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|negative"):
        Resources(**wrong)  # type: ignore[arg-type]


def test_compiling_inside_a_task_is_refused_clearly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("_KFP_RUNTIME", "true")
    assert "KFP leaves its compiler out" in str(fails(tmp_path, "@pipeline\ndef p():\n    make(rows=1)\n"))
