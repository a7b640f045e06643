"""Parts of a run without tasks: what they are, and which part a task that was never made is in."""

from collections.abc import Mapping, Sequence

import pytest

from nodewise.api.explaining.parts import Part, part_of, parts_without_tasks
from nodewise.core.ir import Row, RunFacts, bind
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import TaskPath
from tests.support.whole_pipelines import program

S, C = TaskState, ReasonCode
WHOLE = program("everything")
IN = "exit-handler-1"


def row(state: TaskState = S.SUCCEEDED, **outputs: object) -> Row:
    return Row(state=state, outputs=TaskOutputs(parameters=outputs))


def parts(rows: Mapping[str, Row], *, canceling: bool = False) -> Sequence[Part]:
    given = {TaskPath(path): found for path, found in rows.items()}
    return parts_without_tasks(WHOLE, bind(WHOLE, {}), given, facts=RunFacts(), canceling=canceling)


NOT_TAKEN = {f"{IN}.count": row(Output=[]), f"{IN}.compare": row(Output=0)}


@pytest.mark.parametrize(
    ("rows", "canceling", "path", "state", "code"),
    [
        ({}, False, f"{IN}.for-loop-2", S.WAITING, C.UPSTREAM_NOT_FINISHED),
        (NOT_TAKEN, False, f"{IN}.condition-branches-4.condition-5", S.SKIPPED, C.CONDITION_NOT_MET),
        ({f"{IN}.count": row(S.FAILED)}, False, f"{IN}.for-loop-2", S.SKIPPED, C.UPSTREAM_FAILED),
        ({f"{IN}.count": row(S.SKIPPED)}, False, f"{IN}.for-loop-2", S.SKIPPED, C.UPSTREAM_SKIPPED),
        ({f"{IN}.count": row(S.CANCELED)}, False, f"{IN}.for-loop-2", S.SKIPPED, C.UPSTREAM_FAILED),
        ({f"{IN}.count": row(S.CANCELED)}, True, f"{IN}.for-loop-2", S.CANCELED, C.RUN_CANCELED),
        ({f"{IN}.count": row(Output="no list")}, False, f"{IN}.for-loop-2", S.FAILED, C.INPUT_UNRESOLVED),
    ],
)
def test_each_way_to_be_without_tasks_has_its_code(
    rows: Mapping[str, Row], canceling: bool, path: str, state: TaskState, code: ReasonCode
) -> None:
    found = {part.path: part for part in parts(rows, canceling=canceling)}
    assert (found[TaskPath(path)].state, found[TaskPath(path)].code) == (state, code)
    assert found[TaskPath(path)].text


def test_what_has_tasks_tells_of_itself_by_them() -> None:
    made = {
        f"{IN}.count": row(Output=[7]),
        f"{IN}.for-loop-2[0].make": row(S.RUNNING),
        "inner.add": row(S.RUNNING),
    }
    paths = [part.path for part in parts(made)]
    assert f"{IN}.for-loop-2" not in paths
    assert "inner" not in paths


@pytest.mark.parametrize(
    ("task", "part"),
    [
        (f"{IN}.condition-branches-4.condition-5.echo", f"{IN}.condition-branches-4.condition-5"),
        (f"{IN}.condition-branches-4.condition-6.noop", None),
        (f"{IN}.condition-branches-4.condition-5", None),
        (f"{IN}.condition-branches-4.condition-5.nobody", None),
        (f"{IN}.count", None),
    ],
)
def test_a_task_that_was_never_made_is_found_in_its_part(task: str, part: str | None) -> None:
    found = part_of(parts(NOT_TAKEN), WHOLE, task)
    assert (found and found.path) == part


def test_a_task_of_an_iteration_that_is_not_begun_is_in_the_loop() -> None:
    found = part_of(parts({}), WHOLE, f"{IN}.for-loop-2[3].make")
    assert found is not None
    assert (found.path, found.text) == (f"{IN}.for-loop-2", "waits for count")
