"""Loops, conditions and exit tasks written wrongly: refused with the user's file and line."""

from pathlib import Path
from textwrap import indent

import pytest

from nodewise.sdk import (
    PipelineError,
    collect,
    compile,  # noqa: A004
    each,
    load_pipelines,
    on_exit,
    one_of,
    otherwise,
    when,
)

PRELUDE = """\
from nodewise.sdk import *
@task
def one(n: int = 1) -> int:
    return n
@task
def text(text: str = "") -> str:
    return text
@task
def many() -> list:
    return []
@task
def make(model: Out[Model]) -> bool:
    return True
@task
def read(model: In[Model]):
    pass
@task
def read_all(models: In[list[Model]]):
    pass
@task
def told(status: RunStatus):
    pass
@pipeline
def sub(n: int) -> int:
    return one(n=n).output
@pipeline
def p(n: int = 3, ns: list[int] = [1], d: dict = {}):
"""
FIRST = PRELUDE.count("\n") + 1


def refusal(tmp_path: Path, body: str) -> PipelineError:
    file = tmp_path / "mine.py"
    file.write_text(PRELUDE + indent(body, "    "))
    with pytest.raises(PipelineError) as refused:
        compile(load_pipelines(file)["p"])
    assert refused.value.place is not None
    assert Path(refused.value.place.file) == file
    return refused.value


CASES = [
    ("with each(3) as x:\n    one()", 1, "a int is nothing to loop over"),
    ("with each('abc') as x:\n    one()", 1, "a str is nothing to loop over"),
    ("with each(n) as x:\n    one()", 1, "the parameter 'n' of pipeline 'p' is no list"),
    ("with each(one()) as x:\n    one()", 1, "what task 'one' returns is no list"),
    ("with each([]) as x:\n    one()", 1, "the list is empty"),
    ("with each([1, 'a']) as x:\n    one()", 1, "of one type, are int and str"),
    ("with each([{'a': 1}, {'b': 1}]) as x:\n    one()", 1, "must be dicts with the same keys"),
    ("with each([{}]) as x:\n    one()", 1, "must be dicts with the same keys"),
    ("with each([float('nan')]) as x:\n    one()", 1, "an item is no plain value: nan"),
    ("with each([None]) as x:\n    one()", 1, "an item is None"),
    ("with each([object()]) as x:\n    one()", 1, "an item is no plain value"),
    ("with each([one().output]) as x:\n    one()", 1, "a list of outputs cannot be looped over"),
    ("with each([f'{n}']) as x:\n    one()", 1, "an item holds an output"),
    ("with each([1], parallelism=-1) as x:\n    one()", 1, "parallelism must be a whole number"),
    ("with each([1], parallelism=True) as x:\n    one()", 1, "parallelism must be a whole number"),
    ("with each(make().model) as x:\n    one()", 1, "is one artifact, no list of them"),
    ("with each([1]) as x:\n    y = one()\nwith each(collect(y)) as z:\n    one()", 3, "cannot loop over what was collected"),
    ("with each([1]) as x:\n    pass", 1, "`each` has no task in it"),
    ("for x in each([1]):\n    one()", 1, "write `with each(items) as item:`"),
    ("if when(n > 1):\n    one()", 1, "write `with when(condition):`"),
    ("with each([1]) as x:\n    one(n=x.rate)", 2, "is no dict: it has no part 'rate'"),
    ("with each([{'a': 1}]) as x:\n    one(n=x.b)", 2, "has no part 'b'; its parts: a"),
    ("with each([{'a b': 1}]) as x:\n    one(n=x['a b'])", 2, "by names that are Python's, not 'a b'"),
    ("with each(ns) as x:\n    one(n=x[0])", 2, "is not known while the pipeline is written"),
    ("with each(ns) as x:\n    one(n=x + 1)", 2, "the item of `each` at"),
    ("with each([1]) as x:\n    y = one(n=x)\none(n=y)", 3, "there are many of it here: take all of them with collect"),
    ("with each([1]) as x:\n    one()\none(n=x)", 3, "there are many of it here"),
    ("with each([1]) as x:\n    y = one()\nread(model=collect(y))", 3, "Incompatible argument"),
    ("with each([1]) as x:\n    y = make()\nread(model=collect(y.model))", 3, "Incompatible argument"),
    ("with each([1]) as x:\n    y = one()\ntext(text=f'{collect(y)}')", 3, "cannot stand in text"),
    ("with each([1]) as x:\n    y = one()\nread_all(models=[collect(y)])", 3, "cannot be a part of a list"),
    ("with each([1]) as x:\n    y = one()\n    one(n=collect(y))", 3, "takes what was made in an `each` that is over"),
    ("collect(one())", 1, "takes what was made in an `each` that is over"),
    ("collect(3)", 1, "collect(...) takes outputs of tasks, not 3"),
    ("with each([1]), each([2]):\n    y = one()\ncollect(collect(y))", 3, "take the output itself"),
    ("with when(n > 1):\n    with each([1]) as x:\n        y = one()\ncollect(y)", 4, "was made in `when` at"),
    ("with otherwise():\n    one()", 1, "`otherwise` must follow a `when`"),
    ("with elif_when(n > 1):\n    one()", 1, "`elif_when` must follow a `when`"),
    ("with each([1]):\n    one()\nwith otherwise():\n    one()", 3, "`otherwise` must follow a `when`"),
    ("with when(n > 1):\n    with otherwise():\n        one()", 2, "`otherwise` must follow a `when`"),
    ("with when(n > 1):\n    one()\nwith otherwise():\n    one()\nwith otherwise():\n    one()", 5, "follows an `otherwise`"),
    ("with when(n > 1):\n    one()\nwith otherwise():\n    one()\nwith elif_when(n > 1):\n    one()", 5, "follows an `otherwise`"),
    ("with when(n > 1):\n    pass", 1, "`when` has no task in it"),
    ("with when(True):\n    one()", 1, "not True, which is known already: write a plain `if`"),
    ("with when(3 > 2):\n    one()", 1, "which is known already"),
    ("with when(n):\n    one()", 1, "the parameter 'n' of pipeline 'p' is a number: compare it"),
    ("with when(n == 'a'):\n    one()", 1, "compares a number with text"),
    ("with when(make().output == 1):\n    one()", 1, "compares a bool with a number"),
    ("with when(make().output > True):\n    one()", 1, "bools are equal or not"),
    ("with when(n == None):\n    one()", 1, "but None is none: decide inside a task"),
    ("with when(n < float('inf')):\n    one()", 1, "but inf is none"),
    ("with when(ns == [1]):\n    one()", 1, "compares texts, numbers and bools"),
    ("with when(d == 1):\n    one()", 1, "the parameter 'd' of pipeline 'p' is none"),
    ("with when(make().model == 'x'):\n    one()", 1, "is none: decide inside a task"),
    ("with each(many()) as x:\n    with when(x > 1):\n        one()", 2, "annotate it (`list[int]`)"),
    ("with each(many()) as x:\n    with when(x):\n        one()", 2, "is an item of unknown type: compare it"),
    ("with when(1 < n < 3):\n    one()", 1, "a chain (a < b < c)"),
    ("with when(n > 1 and n < 3):\n    one()", 1, "one inside the other for `and`"),
    ("with when(n > 1):\n    y = one()\none(n=y)", 3, "there may be none here: use it inside, or take one_of"),
    ("with when(n > 1):\n    y = one()\none().after(y)", 3, "there may be none here"),
    ("with when(n > 1):\n    y = one()\none_of(y)", 3, "needs an `otherwise` after `when` at"),
    ("one_of(one())", 1, "takes outputs of tasks that stand in branches which are over"),
    ("one_of()", 1, "takes outputs of the branches of one `when`"),
    ("with when(n > 1):\n    a = one()\nwith otherwise():\n    b = one()\none_of(a)", 5, "has no output of `otherwise` at"),
    ("with when(n > 1):\n    a = one()\nwith otherwise():\n    b = one()\none_of(a, b, b)", 5, "not two of the same"),
    ("with when(n > 1):\n    a = one()\nwith otherwise():\n    b = text()\none_of(a, b)", 5, "must be the same type"),
    ("with when(n > 1):\n    a = one()\nwith otherwise():\n    b = one()\ntext(text=f'{one_of(a, b)}')", 5, "cannot stand in text"),
    ("with on_exit(3):\n    one()", 1, "`on_exit` takes a call of a task"),
    ("with on_exit(sub(n=1)):\n    one()", 1, "`on_exit` takes a call of a task"),
    ("with on_exit(one(n=one())):\n    one()", 1, "takes a task that depends on no other, but task 'one' does"),
    ("with each([1]), on_exit(one()):\n    one()", 1, "belongs to the top of the pipeline's function, not into `each`"),
    ("with on_exit(one()):\n    pass", 1, "`on_exit` has no task in it"),
    ("with on_exit(one()):\n    y = one()\none(n=y)", 3, "nothing outside can wait for it"),
    ("y = one()\nwith on_exit(y):\n    one()\none(n=y)", 4, "it runs last, when all else has ended"),
    ("y = one()\nwith on_exit(y):\n    one()\nwith on_exit(y):\n    one()", 4, "has task 'one' already"),
    ("told()", 1, "task 'told' is told how another one ended: call it as on_exit(told(...))"),
    ("told(status=1)", 1, "is told 'status' when it runs: leave it out"),
    ("one().after(3)", 1, "after() takes tasks, not a int"),
    ("y = one()\ny.after(y)", 2, "cannot run after itself"),
    ("one(n=one()).ignore_upstream_failure()\nread(model=make().model).ignore_upstream_failure()", 2, "it needs 'model' from there"),
    ("one().retries(-1)", 1, "retries must be a whole number, is -1"),
    ("one().timeout('soon')", 1, "a duration is written as"),
    ("one().named('')", 1, "cannot be named ''"),
    ("sub(n=1).on_node('a')", 1, "pipeline 'sub' is a pipeline: say where it runs of the tasks in it"),
    ("sub(n=1).timeout(3)", 1, "say how long it may take of the tasks in it"),
    ("sub(n=1).cache()", 1, "say whether its results are reused of the tasks in it"),
    ("sub(n=1).with_resources(Resources(cpu=1))", 1, "say what resources it needs of the tasks in it"),
    ("sub()", 1, "pipeline 'sub' needs n"),
    ("sub(n='x')", 1, "pipeline 'sub': the input 'n' must be a whole number, is 'x'"),
    ("sub(n=1).nope", 1, "pipeline 'sub' has no output named 'nope'; its outputs: Output"),
    ("p()", 1, "pipeline 'p' cannot be a step of itself"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "line", "rule"), CASES)
def test_it_is_refused_at_its_line(tmp_path: Path, body: str, line: int, rule: str) -> None:
    error = refusal(tmp_path, body)
    assert rule in str(error)
    assert error.place is not None
    assert error.place.line == FIRST + line - 1


RETURNS = [
    ("def q():\n    return one().output", "returns something: say what with `->`"),
    ("def q() -> int:\n    one()", "returns outputs of its tasks, not None"),
    ("def q(n: int) -> int:\n    one()\n    return n", "not the parameter 'n' of pipeline 'q'"),
    ("def q() -> int:\n    return one().output + 1", "is not known while the pipeline is written"),
    (
        "def q() -> int:\n    with when(one() == 1):\n        y = one()\n    return y",
        "there may be none here",
    ),
    (
        "def q() -> Model:\n    return one().output",
        "says that 'Output' is Model, but what task 'one' returns is none",
    ),
    ("def q() -> str:\n    return one().output", "says that 'Output' is str"),
    ("def q() -> list[Model]:\n    return make().model", "says that 'Output' is list[Model]"),
]


@pytest.mark.parametrize(("code", "rule"), RETURNS)
def test_what_a_pipeline_returns_wrongly(tmp_path: Path, code: str, rule: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PRELUDE + f"    one()\n@pipeline\n{code}\n")
    with pytest.raises(PipelineError, match=r"mine\.py:") as refused:
        compile(load_pipelines(file)["q"])
    assert rule in str(refused.value)


@pytest.mark.parametrize(
    ("word", "use"),
    [
        ("each", lambda: each([1])),
        ("when", lambda: when(True)),
        ("otherwise", otherwise),
        ("on_exit", lambda: on_exit(None)),
        ("collect", lambda: collect(1)),
        ("one_of", lambda: one_of(1)),
    ],
)
def test_outside_of_a_pipeline_they_mean_nothing(word: str, use) -> None:
    with pytest.raises(
        PipelineError, match=rf"test_sdk_flow_errors.py:\d+: `{word}` belongs into a @pipeline"
    ):
        use()
