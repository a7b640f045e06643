"""What follows from the states of a run's tasks, and the values that a ready task is given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.ir import Advance, Program, Row, Values, advance, applied, bind, read_program
from nodewise.core.ir.moves import Cause
from nodewise.core.lifecycle import FINAL_TASK_STATES, RunState, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import TaskPath
from tests.support import kfp_pipelines as kfp_made
from tests.support.kfp_pipelines import compiled_by_kfp
from tests.support.pipelines import compiled

S = TaskState
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}


def diamond() -> Program:
    return read_program(compiled(tasks=DIAMOND))


def rows(**by_name: TaskState) -> dict[TaskPath, Row]:
    """Rows of these states; the tasks that are not named wait."""
    return {TaskPath(name): Row(state=by_name.get(name, S.WAITING)) for name in DIAMOND}


def ready(move: Advance) -> list[str]:
    return [task.path for task in move.ready]


def test_all_tasks_are_made_and_the_roots_are_ready_first() -> None:
    move = advance(diamond(), {}, {})
    assert {task.path: task.after for task in move.new_tasks} == DIAMOND
    assert ready(move) == ["a", "e"]
    assert (move.skipped, move.failed, move.outcome) == ((), (), None)


def test_a_task_that_has_a_row_is_not_made_again() -> None:
    move = advance(diamond(), {}, rows())
    assert (move.new_tasks, ready(move)) == ((), ["a", "e"])


def test_a_task_is_ready_when_all_its_upstream_succeeded() -> None:
    assert ready(advance(diamond(), {}, rows(a=S.SUCCEEDED, e=S.RUNNING))) == ["b", "c"]
    half = rows(a=S.SUCCEEDED, b=S.SUCCEEDED, c=S.RUNNING, e=S.READY)
    assert ready(advance(diamond(), {}, half)) == []
    both = rows(a=S.SUCCEEDED, b=S.SUCCEEDED, c=S.SUCCEEDED, e=S.READY)
    assert ready(advance(diamond(), {}, both)) == ["d"]


def test_what_depends_on_a_failure_is_skipped_and_other_branches_go_on() -> None:
    move = advance(diamond(), {}, rows(a=S.SUCCEEDED, b=S.FAILED, c=S.READY, e=S.RUNNING))
    assert [(skip.path, skip.cause, skip.reason) for skip in move.skipped] == [
        ("d", Cause.UPSTREAM_FAILED, "b is FAILED")
    ]
    assert move.outcome is None


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (S.FAILED, RunState.FAILED),
        (S.CANCELED, RunState.CANCELED),
        # Nobody failed: what is skipped without a failure was not wanted.
        (S.SKIPPED, RunState.SUCCEEDED),
    ],
)
def test_skipping_is_transitive_in_one_call(state: TaskState, outcome: RunState) -> None:
    move = advance(diamond(), {}, rows(a=state, e=S.SUCCEEDED))
    assert [skip.path for skip in move.skipped] == ["b", "c", "d"]
    assert move.outcome is outcome


def test_a_run_succeeds_when_all_did() -> None:
    move = advance(diamond(), {}, rows(**dict.fromkeys(DIAMOND, S.SUCCEEDED)))
    assert (move.outcome, move.moves) == (RunState.SUCCEEDED, 0)


@given(st.fixed_dictionaries({name: st.sampled_from(list(TaskState)) for name in DIAMOND}))
def test_applying_a_move_and_asking_again_gives_nothing_new(drawn: dict[str, TaskState]) -> None:
    before = rows(**drawn)
    move = advance(diamond(), {}, before)
    after = applied(before, move)
    again = advance(diamond(), {}, after)
    assert again.moves == 0
    assert again.outcome == move.outcome
    moved = [task.path for task in (*move.ready, *move.skipped)]
    assert all(before[path].state is S.WAITING for path in moved)
    assert (move.outcome is not None) == ({row.state for row in after.values()} <= FINAL_TASK_STATES)


def left(**parameters: object) -> TaskOutputs:
    return TaskOutputs(
        parameters=parameters, artifacts={"train": ArtifactRef(name="train", uri="store://file/1")}
    )


def after_prepare(program: Program, outputs: TaskOutputs, **parameters: Any) -> Advance:
    succeeded = {TaskPath("prepare"): Row(state=S.SUCCEEDED, outputs=outputs)}
    return advance(program, bind(program, parameters), succeeded)


def given_to(path: str, move: Advance) -> Values:
    return next(task.inputs for task in move.ready if task.path == path)


def first_inputs(program: Program, path: str, **parameters: Any) -> Values:
    return given_to(path, advance(program, bind(program, parameters), {}))


def test_inputs_come_from_the_run_and_from_finished_tasks() -> None:
    program = read_program(*compiled_by_kfp(kfp_made.chain))
    prepare = first_inputs(program, "prepare", rows=7)
    assert prepare.parameters == {"rows": 7, "name": "x", "scale": 0.5}
    fit = given_to("fit", after_prepare(program, left(Output=4.0), rows=7))
    assert fit.parameters == {"rows": 4}
    assert isinstance(fit.parameters["rows"], int)
    assert [artifact.uri for artifact in fit.artifacts["data"]] == ["store://file/1"]


def declared(values: Values) -> dict[str, object]:
    """Without what only placeholders refer to."""
    return {
        name: value for name, value in values.parameters.items() if not name.startswith("pipelinechannel")
    }


def test_f_strings_are_filled_in_with_types_where_the_value_stands_alone() -> None:
    program = read_program(*compiled_by_kfp(kfp_made.f_strings))
    assert first_inputs(program, "prepare", who="Ann").parameters["name"] == "hello Ann, 2 rows"
    best = given_to("best", after_prepare(program, left(Output=5), who="Ann"))
    assert declared(best) == {
        "scores": [2, 5],
        "label": "5!",
        "options": {"who": "Ann", "deep": ["<Ann>", 2]},
    }


def test_a_value_that_looks_like_a_placeholder_is_not_expanded() -> None:
    program = read_program(*compiled_by_kfp(kfp_made.f_strings))
    trick = "{{$.inputs.parameters['pipelinechannel--rows']}}"
    assert first_inputs(program, "prepare", who=trick).parameters["name"] == f"hello {trick}, 2 rows"


def test_a_text_input_takes_other_values_as_json() -> None:
    ir, _ = compiled_by_kfp(kfp_made.chain)
    prepare = ir["root"]["dag"]["tasks"]["prepare"]
    prepare["inputs"]["parameters"]["name"] = {"componentInputParameter": "rows"}
    assert first_inputs(read_program(ir), "prepare", rows=3).parameters["name"] == "3"


def test_none_gives_way_to_the_default() -> None:
    program = read_program(*compiled_by_kfp(kfp_made.defaults))
    assert first_inputs(program, "bare", optional=None).parameters == {"text": "", "flag": False}


@pytest.mark.parametrize("outputs", [TaskOutputs(), left(Output="x"), left(Output=1.5), left()])
def test_an_upstream_that_left_nothing_fitting_is_named(outputs: TaskOutputs) -> None:
    move = after_prepare(read_program(*compiled_by_kfp(kfp_made.chain)), outputs)
    assert [(failure.path, failure.reason.split(":")[0]) for failure in move.failed] == [
        ("fit", "input 'rows'")
    ]
    assert [skip.path for skip in move.skipped] == ["score"]
    assert (move.ready, move.outcome) == ((), RunState.FAILED)


def test_a_missing_artifact_is_named() -> None:
    program = read_program(*compiled_by_kfp(kfp_made.chain))
    move = after_prepare(program, TaskOutputs(parameters={"Output": 1}))
    assert [(failure.path, failure.reason) for failure in move.failed] == [
        ("fit", "input 'data': no artifact was left for it")
    ]
