"""A run survives anything: crashes between deciding and writing, junk outputs, cancellation; and it stays fast."""

import copy
import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.ir import Advance, Program, Row, advance, applied, bind, read_program
from nodewise.core.lifecycle import FINAL_RUN_STATES, TaskState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import TaskPath
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.unit.core_ir.corpus.case import Case
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.handwritten import chained, dag, document, leaf, task

INDEXES = st.integers(0, len(CASES) - 1)


@cache
def program_of(index: int) -> Program:
    return read_program(*compiled_documents(CASES[index].pipeline))


def named(name: str) -> tuple[Program, Case]:
    index = next(index for index, case in enumerate(CASES) if case.name == name)
    return program_of(index), CASES[index]


class Crashing(FakeRun):
    """Applies only some of what follows, as if the writer died in between, and looks again."""

    def step(self) -> Advance:
        assert self.order is not None
        for _ in range(3):
            now = self.look()
            made = tuple(task for task in now.new_tasks if self.order.random() < 0.5)
            there = {*self.rows, *(task.path for task in made)}
            part = Advance(
                new_tasks=made,
                ready=tuple(t for t in now.ready if t.path in there and self.order.random() < 0.5),
                skipped=tuple(t for t in now.skipped if t.path in there and self.order.random() < 0.5),
                failed=tuple(t for t in now.failed if t.path in there and self.order.random() < 0.5),
            )
            self.rows = applied(self.rows, part)
            for ready in part.ready:
                self.ready[ready.path] = ready
        return super().step()


@given(index=INDEXES, seed=st.integers(0, 10**6))
def test_a_writer_that_dies_in_between_changes_nothing(index: int, seed: int) -> None:
    case = CASES[index]

    def run_of(kind: Callable[..., FakeRun]) -> tuple[FakeRun, Advance]:
        run = kind(
            program=program_of(index),
            functions=functions(),
            parameters=case.parameters,
            failures=case.failures,
            order=random.Random(seed),
        )
        return run, run.run()

    calm, wanted = run_of(FakeRun)
    hurt, end = run_of(Crashing)
    assert (end.outcome, end.outputs, hurt.states) == (wanted.outcome, wanted.outputs, calm.states)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(index=INDEXES, data=st.data())
def test_tasks_that_leave_anything_at_all_never_break_a_run(index: int, data: st.DataObject) -> None:
    def junk(**_: Any) -> Any:
        value = data.draw(JUNK)
        return copy.deepcopy(value)

    case = CASES[index]
    run = FakeRun(
        program=program_of(index), functions=dict.fromkeys(functions(), junk), parameters=case.parameters
    )
    end = run.run(most_events=2000)
    assert end.outcome in FINAL_RUN_STATES


def test_a_canceled_run_starts_only_its_exit_task() -> None:
    program, case = named("exit-handler-with-all")
    run = FakeRun(program=program, functions=functions(), parameters=case.parameters, cancel_after=3)
    end = run.run()
    assert end.outcome == "CANCELED"
    assert run.rows[TaskPath("report")].state is TaskState.SUCCEEDED
    assert run.rows[TaskPath("report")].outputs.parameters == {"Output": "CANCELLED"}
    assert not run.of_state(TaskState.SKIPPED)
    canceled = run.of_state(TaskState.CANCELED)
    assert canceled
    assert all(path.startswith("exit-handler-1.") for path in canceled)


def test_a_run_canceled_at_once_makes_no_row() -> None:
    program, _ = named("nested-loops")
    end = advance(program, {}, {}, canceling=True)
    assert (end.outcome, end.moves) == ("CANCELED", 0), end


def test_a_run_canceled_after_all_was_done_has_succeeded() -> None:
    program, case = named("if-elif-else")
    run = FakeRun(program=program, functions=functions(), parameters=case.parameters)
    run.run()
    assert advance(program, run.parameters, run.rows, canceling=True).outcome == "SUCCEEDED"


def test_a_live_second_try_of_a_canceled_sub_pipeline_is_waited_for() -> None:
    program, _ = named("sub-pipeline-tried-again")
    rows = {
        TaskPath("inner.add"): Row(state=TaskState.FAILED),
        TaskPath("inner.add-2"): Row(state=TaskState.SKIPPED),
        TaskPath("inner~2.add"): Row(state=TaskState.RUNNING),
        TaskPath("inner~2.add-2"): Row(),
    }
    assert advance(program, {}, rows, canceling=True).outcome is None


def test_a_failure_counts_more_than_a_cancellation() -> None:
    program, _ = named("order-only")
    rows = {
        TaskPath("noop"): Row(state=TaskState.CANCELED),
        TaskPath("noop-2"): Row(state=TaskState.FAILED, message="broke"),
        TaskPath("noop-3"): Row(state=TaskState.SKIPPED),
    }
    end = advance(program, {}, rows)
    assert (end.outcome, end.reason) == ("FAILED", "noop-2: broke")
    rows[TaskPath("noop-2")] = Row(state=TaskState.SUCCEEDED)
    assert advance(program, {}, rows).outcome == "CANCELED"


def test_an_exit_task_without_status_runs_in_a_canceled_run() -> None:
    program, _ = named("exit-handler-without-status")
    rows = {TaskPath("exit-handler-1.fail"): Row(state=TaskState.CANCELED), TaskPath("noop"): Row()}
    now = advance(program, {}, rows, canceling=True)
    assert [ready.path for ready in now.ready] == ["noop"]


def test_what_merely_follows_an_exit_handler_is_no_exit_task() -> None:
    components = {"comp-exit-handler-1": dag({"a": task("leaf")}), "leaf": leaf()}
    ir = document(
        {"exit-handler-1": task("comp-exit-handler-1"), "b": task("leaf", after=["exit-handler-1"])},
        components,
    )
    rows = {TaskPath("exit-handler-1.a"): Row(state=TaskState.SUCCEEDED), TaskPath("b"): Row()}
    now = advance(read_program(ir), {}, rows, canceling=True)
    assert [(skip.path, skip.state) for skip in now.skipped] == [("b", "CANCELED")]
    assert (now.ready, now.outcome) == ((), "CANCELED")


def test_a_run_that_is_too_large_waits_for_what_is_live() -> None:
    program = read_program(chained(), max_instances=3)
    made = Row(state=TaskState.SUCCEEDED, outputs=TaskOutputs(parameters={"Output": ["a", "b", "c"]}))
    rows = {
        TaskPath("make"): made,
        TaskPath("loop[0]"): Row(state=TaskState.RUNNING),
        TaskPath("loop[1]"): Row(),
    }
    now = advance(program, {}, rows)
    assert ([skip.path for skip in now.skipped], now.ready, now.outcome) == (["loop[1]"], (), None)
    rows[TaskPath("loop[0]")] = Row(state=TaskState.SUCCEEDED)
    assert advance(program, {}, rows).outcome == "FAILED"


def test_a_sub_pipeline_is_tried_again_after_its_back_off() -> None:
    program, _ = named("sub-pipeline-tried-again")
    run = FakeRun(program=program, functions=functions(), failures={"inner.add": 99, "inner~2.add-2": 99})
    assert run.run().outcome == "SUCCEEDED"
    delays = {path: run.delays[path] for path in ("inner.add", "inner~2.add", "inner~2.add-2", "inner~3.add")}
    assert delays == {"inner.add": 0.0, "inner~2.add": 7.0, "inner~2.add-2": 0.0, "inner~3.add": 14.0}


def test_the_final_status_of_what_failed() -> None:
    program, _ = named("exit-handler-after-a-failure")
    run = FakeRun(program=program, functions=functions())
    run.run()
    assert run.seen["report"].parameters["status"] == {
        "state": "FAILED",
        "pipelineJobUuid": "r-1",
        "pipelineJobName": "job",
        "pipelineJobResourceName": "job",
        "pipelineTaskName": "exit-handler-1",
        "error": {"code": 2, "message": "fail: no luck"},
    }


def test_groups_say_how_they_stand() -> None:
    program, _ = named("if-else")
    run = FakeRun(program=program, functions=functions(), parameters={"n": 2})
    run.run()
    assert run.groups == {
        "condition-branches-1": "SUCCEEDED",
        "condition-branches-1.condition-2": "SKIPPED",
        "condition-branches-1.condition-3": "SUCCEEDED",
    }


def test_why_a_task_is_skipped() -> None:
    program, _ = named("failing")
    run = FakeRun(program=program, functions=functions())
    run.run()
    assert run.rows[TaskPath("echo")].message == "fail is FAILED"


@pytest.mark.parametrize("items", [2_000, 8_000])
def test_a_look_at_a_large_run_takes_linear_time(items: int) -> None:
    ir = chained(task("body", loop_over="items"), leaf(takes={"items": "LIST", "item": "STRING"}))
    program = read_program(ir)
    run = FakeRun(program=program, functions={"f": lambda **_: list(range(items))})
    run.parameters = bind(program, {})
    run.step()
    run.end_one()
    run.step()
    assert len(run.rows) == items + 1
    started = time.process_time()
    assert advance(program, {}, run.rows).moves == 0
    assert (time.process_time() - started) / items < 0.0005
