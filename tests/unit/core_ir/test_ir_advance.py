"""What follows from the states of a run's tasks, and what an attempt is given."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import UnresolvedInput
from nodewise.core.ir import advance, bind_parameters, build_job, read_pipeline, resolve_inputs
from nodewise.core.lifecycle import FINAL_TASK_STATES, RunState, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.pipeline import Pipeline
from nodewise.core.model.resources import Resources
from tests.support import kfp_pipelines as kfp_made
from tests.support.kfp_pipelines import compiled_by_kfp
from tests.support.pipelines import compiled, hints

S = TaskState
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}


def diamond() -> Pipeline:
    return read_pipeline(compiled(tasks=DIAMOND))


def states(**by_name: TaskState) -> dict[TaskPath, TaskState]:
    return {TaskPath(name): state for name, state in by_name.items()}


def test_the_roots_are_ready_first() -> None:
    move = advance(diamond(), {})
    assert move.ready == ("a", "e")
    assert move.skipped == ()
    assert move.outcome is None


def test_a_task_is_ready_when_all_its_upstream_succeeded() -> None:
    assert advance(diamond(), states(a=S.SUCCEEDED, e=S.RUNNING)).ready == ("b", "c")
    assert advance(diamond(), states(a=S.SUCCEEDED, b=S.SUCCEEDED, c=S.RUNNING, e=S.READY)).ready == ()
    assert advance(diamond(), states(a=S.SUCCEEDED, b=S.SUCCEEDED, c=S.SUCCEEDED, e=S.READY)).ready == ("d",)


def test_what_depends_on_a_failure_is_skipped_and_other_branches_go_on() -> None:
    move = advance(diamond(), states(a=S.SUCCEEDED, b=S.FAILED, c=S.READY, e=S.RUNNING))
    assert move.skipped == ("d",)
    assert move.outcome is None


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELED, S.SKIPPED])
def test_skipping_is_transitive_in_one_call(state: TaskState) -> None:
    move = advance(diamond(), states(a=state, e=S.SUCCEEDED))
    assert move.skipped == ("b", "c", "d")
    assert move.outcome is (RunState.FAILED if state is S.FAILED else RunState.CANCELED)


def test_a_run_succeeds_when_all_did() -> None:
    assert advance(diamond(), states(**dict.fromkeys(DIAMOND, S.SUCCEEDED))).outcome is RunState.SUCCEEDED


def test_a_failure_outweighs_a_cancellation() -> None:
    ended = states(a=S.SUCCEEDED, b=S.CANCELED, c=S.FAILED, d=S.SKIPPED, e=S.CANCELED)
    assert advance(diamond(), ended).outcome is RunState.FAILED


@given(st.fixed_dictionaries({name: st.sampled_from(list(TaskState)) for name in DIAMOND}))
def test_applying_a_move_and_asking_again_gives_nothing_new(drawn: dict[str, TaskState]) -> None:
    before = states(**drawn)
    move = advance(diamond(), before)
    after = before | dict.fromkeys(move.ready, S.READY) | dict.fromkeys(move.skipped, S.SKIPPED)
    again = advance(diamond(), after)
    assert (again.ready, again.skipped) == ((), ())
    assert again.outcome == move.outcome
    assert all(before[path] is S.WAITING for path in move.ready + move.skipped)
    assert (move.outcome is not None) == (set(after.values()) <= FINAL_TASK_STATES)


def left(**parameters: object) -> TaskOutputs:
    return TaskOutputs(
        parameters=parameters, artifacts={"train": ArtifactRef(name="train", uri="store://file/1")}
    )


def test_inputs_come_from_the_run_and_from_finished_tasks() -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.chain))
    parameters = bind_parameters(pipeline, {"rows": 7})
    assert resolve_inputs(pipeline.tasks[TaskPath("prepare")], parameters, {}).parameters == {
        "rows": 7,
        "name": "x",
        "scale": 0.5,
    }
    inputs = resolve_inputs(
        pipeline.tasks[TaskPath("fit")], parameters, {TaskPath("prepare"): left(Output=4.0)}
    )
    assert inputs.parameters == {"rows": 4}
    assert inputs.artifacts["data"].uri == "store://file/1"


def test_f_strings_are_filled_in_with_types_where_the_value_stands_alone() -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.f_strings))
    parameters = bind_parameters(pipeline, {"who": "Ann"})
    prepare = resolve_inputs(pipeline.tasks[TaskPath("prepare")], parameters, {})
    assert prepare.parameters["name"] == "hello Ann, 2 rows"
    best = resolve_inputs(pipeline.tasks[TaskPath("best")], parameters, {TaskPath("prepare"): left(Output=5)})
    assert best.parameters == {
        "scores": [2, 5],
        "label": "5!",
        "options": {"who": "Ann", "deep": ["<Ann>", 2]},
    }


def test_a_value_that_looks_like_a_placeholder_is_not_expanded() -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.f_strings))
    trick = "{{$.inputs.parameters['pipelinechannel--rows']}}"
    prepare = resolve_inputs(pipeline.tasks[TaskPath("prepare")], {"who": trick, "rows": 2}, {})
    assert prepare.parameters["name"] == f"hello {trick}, 2 rows"


def test_a_text_input_takes_other_values_as_json() -> None:
    ir, _ = compiled_by_kfp(kfp_made.chain)
    ir["root"]["dag"]["tasks"]["prepare"]["inputs"]["parameters"]["name"] = {
        "componentInputParameter": "rows"
    }
    prepare = read_pipeline(ir).tasks[TaskPath("prepare")]
    assert resolve_inputs(prepare, {"rows": 3}, {}).parameters["name"] == "3"


def test_none_gives_way_to_the_default() -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.defaults))
    parameters = bind_parameters(pipeline, {"optional": None})
    assert resolve_inputs(pipeline.tasks[TaskPath("bare")], parameters, {}).parameters == {
        "text": "",
        "flag": False,
    }


@pytest.mark.parametrize("outputs", [TaskOutputs(), left(Output="x"), left(Output=1.5), left()])
def test_an_upstream_that_left_nothing_fitting_is_named(outputs: TaskOutputs) -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.chain))
    with pytest.raises(UnresolvedInput, match="'fit', input 'rows'"):
        resolve_inputs(pipeline.tasks[TaskPath("fit")], {}, {TaskPath("prepare"): outputs})


def test_a_missing_artifact_is_named() -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.chain))
    outputs = {TaskPath("prepare"): TaskOutputs(parameters={"Output": 1})}
    with pytest.raises(UnresolvedInput, match="'fit', input 'data'"):
        resolve_inputs(pipeline.tasks[TaskPath("fit")], {}, outputs)


def test_a_job_has_all_that_an_agent_needs() -> None:
    pipeline = read_pipeline(*compiled_by_kfp(kfp_made.chain))
    key = AttemptKey(run_id=RunId("r"), path=TaskPath("fit"), attempt=2)
    job = build_job(
        pipeline.tasks[TaskPath("fit")],
        key=key,
        run_name="chain-1",
        parameters=bind_parameters(pipeline, {}),
        outputs={TaskPath("prepare"): left(Output=3)},
        dataset_uri="store://file/2",
    )
    assert (job.key, job.run_name, job.component, job.code.function) == (key, "chain-1", "fit", "fit")
    assert job.parameters == {"rows": 3}
    assert job.artifacts["data"].name == "train"
    assert list(job.output_artifacts) == ["model"]
    assert list(job.output_parameters) == ["Output"]
    assert job.dataset_uri == "store://file/2"
    assert job.memory_limit_mib is None


def test_a_job_books_room_for_its_data_set_and_may_use_it() -> None:
    ir = compiled(tasks={"a": ()})
    ir["deploymentSpec"]["executors"]["exec-a"]["container"]["resources"] = {"resourceMemoryLimit": "64Mi"}
    hint = {"dataset": {"samples": 1024 * 1024, "features": 64}, "timeoutSeconds": 9}
    task = read_pipeline(ir, hints(a=hint)).tasks[TaskPath("a")]
    key = AttemptKey(run_id=RunId("r"), path=TaskPath("a"), attempt=1)
    job = build_job(task, key=key, run_name="n", parameters={}, outputs={})
    assert job.resources == Resources(millicores=1000, memory_mib=1024)
    assert job.memory_limit_mib == 1024
    assert job.timeout == timedelta(seconds=9)
