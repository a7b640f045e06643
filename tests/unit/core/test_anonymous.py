"""What foreign code says of tasks is not told to others than theirs."""

import pytest

from nodewise.core.anonymous import said, unnamed
from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath, TaskRef
from nodewise.core.model.problem import TaskId

RUN = RunId("0190c3f2-7a65-4b0e-9d3c-5f6a7b8c9d0e")
REF = TaskRef(run_id=RUN, path=TaskPath("loop[0].secret-task"))


@pytest.mark.parametrize(
    "text",
    [
        f"{RUN}/secret-task waits for unknown 'x'",
        f"no node can run {RUN}/loop[1].secret-task, {RUN}/loop~2.secret-task ...",
        f"{REF!r}",
        f"{REF}",
        f"{TaskId(pipeline=RUN, task='secret-task')!r}",
        f"{AttemptKey(run_id=RUN, path=TaskPath('secret-task'), attempt=2)!r} is missing",
        f"{(RUN, 'secret-task')}",
        f"run {RUN!r}, run {RUN.upper()}",
    ],
)
def test_neither_run_nor_task_is_named(text: str) -> None:
    told = unnamed(f"cannot: {text}")
    assert told.startswith("cannot: ")
    assert "secret-task" not in told
    assert "0190c3f2" not in told.lower()


@pytest.mark.parametrize(
    "text", ["lost the thread", "'gpu'", "list index out of range", "node n1 has 4/8 cores", "a/b: c"]
)
def test_all_else_stays(text: str) -> None:
    assert unnamed(text) == text


def test_an_exception_is_told_by_its_kind_and_words() -> None:
    assert said(KeyError(REF)) == "KeyError: a task"
    assert said(Unplannable([f"{RUN}/a"])) == "Unplannable: no node can run a task"
