"""What follows from the rows of a run: births, moves, upstream, the end. No database, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.codec import decode
from nodewise.core.db.queries.lives import OpenRun, RunTask
from nodewise.core.db.queries.moves import TaskMove
from nodewise.core.ir import Program, Row, Values, bind, read_program
from nodewise.core.ir.breadth import MOST_UPSTREAM, TOO_BROAD
from nodewise.core.ir.caching import CacheKey
from nodewise.core.ir.tally import HOW_TO_SHRINK
from nodewise.core.lifecycle import (
    TASK_EVENT_OWNERS,
    RunState,
    TaskEvent,
    TaskState,
    next_task_state,
)
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from nodewise.core.model.task import TaskSpec
from nodewise.recorder.course import Course, cancellations, course
from tests.support.builders import run_id
from tests.support.libraries import FakeLibrary
from tests.support.rows import NOW
from tests.support.whole_pipelines import DATA, program
from tests.unit.core_ir.corpus.handwritten import document, leaf, task

OTHER = TaskRef(run_id=run_id(9), path=TaskPath("earlier"))
LOOP = "exit-handler-1.for-loop-2"


@dataclass
class Record:
    """The rows of one run, and a recorder's looks at them."""

    program: Program
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: RunState = RunState.RUNNING
    caching: bool = False
    library: FakeLibrary = field(default_factory=FakeLibrary)
    tasks: dict[TaskPath, RunTask] = field(default_factory=dict)

    @property
    def run(self) -> OpenRun:
        return OpenRun(
            id=RunId(run_id(1)),
            state=self.state,
            spec_digest="d",
            submitted_at=NOW,
            cancel_requested=self.state is RunState.CANCELING,
            name="job",
            parameters=bind(self.program, self.parameters),
            caching=self.caching,
        )

    def look(self) -> Course:
        """What follows; checks that each move is the recorder's and legal, and that a second look finds nothing new."""
        self.write(cancellations(self.run, self.tasks, now=NOW))
        found = self._course()
        for birth in found.births:
            assert birth.spec.path not in self.tasks
            self.tasks[birth.spec.path] = RunTask(
                row=Row(), finaliser=birth.finaliser, upstream=birth.spec.upstream
            )
        for ref, upstream in found.upstream.items():
            self.tasks[ref.path] = replace(self.tasks[ref.path], upstream=upstream)
        self.write(found.moves)
        again = self._course()
        assert (again.births, again.moves, again.upstream) == ((), (), {})
        assert (again.outcome, again.outputs) == (found.outcome, found.outputs)
        return found

    def _course(self) -> Course:
        return course(self.run, self.tasks, self.program, self.library, now=NOW)

    def write(self, moves: Any) -> None:
        for move in moves:
            task = self.tasks[move.ref.path]
            assert move.state is task.row.state
            assert TASK_EVENT_OWNERS[move.event] == "recorder"
            state = next_task_state(move.state, move.event)
            outputs = decode(TaskOutputs, move.outputs) if move.outputs else task.row.outputs
            self.tasks[move.ref.path] = replace(
                task, row=replace(task.row, state=state, outputs=outputs, message=move.reason.text)
            )

    def end(self, path: str, state: str = "SUCCEEDED", message: str = "", **parameters: Any) -> None:
        row = Row(state=TaskState(state), outputs=TaskOutputs(parameters=parameters), message=message)
        self.tasks[TaskPath(path)] = replace(self.tasks[TaskPath(path)], row=row)

    def states(self, state: TaskState) -> set[str]:
        return {path for path, task in self.tasks.items() if task.row.state is state}


def record(name: str, **fields: Any) -> Record:
    return Record(program=program(name), **fields)


def moves_of(found: Course) -> dict[str, TaskMove]:
    moves = {str(move.ref.path): move for move in found.moves}
    assert len(moves) == len(found.moves), "a task moved twice in one look"
    return moves


def inputs_of(move: TaskMove) -> Values:
    return decode(Values, move.inputs)


def test_the_first_look_bears_what_is_known_and_readies_what_waits_for_nothing() -> None:
    made = record("guarded-loop")
    found = made.look()
    assert [(birth.spec.path, birth.finaliser, birth.state) for birth in found.births] == [
        ("exit-handler-1.count", False, "WAITING"),
        ("exit-handler-1.total", False, "WAITING"),
        ("report", True, "WAITING"),
    ]
    [move] = found.moves
    assert (move.ref.path, move.event, move.reason.code, move.finished_at) == (
        "exit-handler-1.count",
        TaskEvent.INPUTS_READY,
        ReasonCode.QUEUED,
        None,
    )
    assert inputs_of(move) == Values(parameters={"n": 3})
    assert (found.outcome, move.cache, move.spec, move.not_before) == (None, None, None, None)


def test_what_is_born_says_what_it_waits_for() -> None:
    made = record("guarded-loop")
    births = {birth.spec.path: birth for birth in made.look().births}
    total, report = births[TaskPath("exit-handler-1.total")], births[TaskPath("report")]
    assert (total.reason, total.spec.upstream) == (
        f"waits for {LOOP}",
        ("exit-handler-1.count",),
    )
    assert report.reason == "waits for exit-handler-1"
    assert report.spec.upstream == ("exit-handler-1.count", "exit-handler-1.total")


def test_upstream_is_kept_up_to_date_as_iterations_appear() -> None:
    made = record("guarded-loop", parameters={"n": 2})
    made.look()
    made.end("exit-handler-1.count", Output=[1, 2])
    found = made.look()
    assert set(moves_of(found)) == {f"{LOOP}[0].add", f"{LOOP}[1].add"}
    upstream = {str(ref.path): paths for ref, paths in found.upstream.items()}
    iterations = (f"{LOOP}[0].add", f"{LOOP}[1].add")
    assert upstream.keys() == {"exit-handler-1.total", "report"}
    assert set(upstream["exit-handler-1.total"]) >= set(iterations)
    assert set(upstream["report"]) >= {*iterations, "exit-handler-1.total"}


def test_inputs_are_resolved_from_what_upstream_left() -> None:
    made = record("guarded-loop", parameters={"n": 2})
    made.look()
    made.end("exit-handler-1.count", Output=[5, 7])
    found = moves_of(made.look())
    assert inputs_of(found[f"{LOOP}[1].add"]).parameters["a"] == 7
    made.end(f"{LOOP}[0].add", Output=6)
    made.end(f"{LOOP}[1].add", Output=8)
    found = moves_of(made.look())
    assert set(found) >= {f"{LOOP}[0].condition-3.echo", f"{LOOP}[1].condition-3.echo"}


def test_a_condition_that_is_not_met_skips_and_fails_nothing() -> None:
    made = record("guarded-loop", parameters={"n": 1})
    made.look()
    made.end("exit-handler-1.count", Output=[0])
    made.look()
    made.end(f"{LOOP}[0].add", Output=1)
    found = made.look()
    assert set(moves_of(found)) == {"exit-handler-1.total"}
    assert inputs_of(found.moves[0]).parameters == {"numbers": [1]}
    made.end("exit-handler-1.total", Output=1.0)
    made.look()
    made.end("report", Output="")
    assert made.look().outcome is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("state", "event", "code"),
    [
        ("FAILED", TaskEvent.SKIP, ReasonCode.UPSTREAM_FAILED),
        ("CANCELED", TaskEvent.SKIP, ReasonCode.UPSTREAM_FAILED),
        ("SKIPPED", TaskEvent.SKIP, ReasonCode.UPSTREAM_SKIPPED),
    ],
)
def test_what_cannot_get_its_inputs_is_skipped_with_a_typed_reason(
    state: str, event: TaskEvent, code: ReasonCode
) -> None:
    made = record("failing")
    made.look()
    made.end("fail", state, "boom")
    [move] = made.look().moves
    assert (move.ref.path, move.event, move.reason.code) == ("echo", event, code)
    assert move.reason.text == f"fail is {state}"
    assert move.finished_at == NOW


def test_a_branch_that_is_not_taken_bears_nothing() -> None:
    made = record("everything", parameters={"n": 0})
    made.look()
    made.end("exit-handler-1.count", Output=[])
    made.look()
    made.end("exit-handler-1.compare", Output=0)
    assert set(moves_of(made.look())) == {"exit-handler-1.condition-branches-4.condition-6.noop"}
    assert not made.states(TaskState.SKIPPED)


def test_a_task_whose_own_condition_is_not_met_is_skipped_for_it() -> None:
    guarded = {**task("leaf", after=["a"]), "triggerPolicy": {"condition": "1 > 2"}}
    ir = document({"a": task("leaf"), "b": guarded, "c": task("leaf", after=["b"])}, {"leaf": leaf()})
    made = Record(program=read_program(ir))
    made.look()
    made.end("a")
    found = made.look()
    assert {path: (move.event, move.reason.code) for path, move in moves_of(found).items()} == {
        "b": (TaskEvent.SKIP, ReasonCode.CONDITION_NOT_MET),
        "c": (TaskEvent.SKIP, ReasonCode.UPSTREAM_SKIPPED),
    }
    assert found.outcome is RunState.SUCCEEDED


def test_the_end_waits_for_the_exit_task_and_says_why_the_run_failed() -> None:
    made = record("guarded-loop")
    made.look()
    made.end("exit-handler-1.count", "FAILED", "no luck")
    found = made.look()
    assert set(moves_of(found)) == {"exit-handler-1.total", "report"}
    assert inputs_of(moves_of(found)["report"]).parameters["status"]["state"] == "FAILED"  # type: ignore[index]
    assert found.outcome is None
    made.end("report", Output="")
    found = made.look()
    assert (found.outcome, found.reason) == (RunState.FAILED, "exit-handler-1: count: no luck")


def test_an_input_that_has_no_value_fails_the_task_and_what_follows_is_skipped_in_the_same_look() -> None:
    made = record("reusable")
    made.look()
    made.end("add")
    found = moves_of(made.look())
    assert (found["add-2"].event, found["add-2"].reason.code) == (TaskEvent.FAIL, ReasonCode.INPUT_UNRESOLVED)
    assert "'a'" in found["add-2"].reason.text
    assert found["add-2"].finished_at == NOW
    assert made.look().outcome is RunState.FAILED


def test_an_input_of_another_type_fails_the_task() -> None:
    made = record("reusable")
    made.look()
    made.end("add", Output="many")
    [move] = made.look().moves
    assert (move.event, move.reason.code) == (TaskEvent.FAIL, ReasonCode.INPUT_UNRESOLVED)


def test_needs_from_parameters_complete_the_spec_when_they_are_known() -> None:
    made = record("sized", parameters={"cores": "3", "memory": "2Gi"})
    found = moves_of(made.look())
    spec = decode(TaskSpec, found["echo"].spec)
    assert (spec.resources.millicores, spec.resources.memory_mib) == (3000, 2048)
    assert found["echo-2"].spec is None
    made.end("echo-2", Output="1500m")
    [move] = made.look().moves
    spec = decode(TaskSpec, move.spec)
    assert (spec.path, spec.resources.millicores, spec.upstream) == ("echo-3", 1500, ("echo-2",))


def test_a_task_that_is_born_ready_has_its_upstream_in_the_completed_spec() -> None:
    made = record("sized")
    births = {birth.spec.path: birth.spec.upstream for birth in made.look().births}
    assert births == {"echo": (), "echo-2": (), "echo-3": ("echo-2",)}


@pytest.mark.parametrize("amount", ["plenty", "-1", "1e400"])
def test_a_need_that_is_no_amount_fails_the_task(amount: str) -> None:
    made = record("sized")
    made.look()
    made.end("echo-2", Output=amount)
    [move] = made.look().moves
    assert (move.ref.path, move.event, move.reason.code) == (
        "echo-3",
        TaskEvent.FAIL,
        ReasonCode.INPUT_UNRESOLVED,
    )
    assert move.reason.text


def test_an_import_is_there_at_once_and_what_follows_is_ready_in_the_same_look() -> None:
    found = moves_of(record("trained").look())
    imported, train = found["importer"], found["train"]
    assert (imported.event, imported.reason.code, imported.finished_at) == (
        TaskEvent.RESOLVE,
        ReasonCode.IMPORTED,
        NOW,
    )
    assert decode(TaskOutputs, imported.outputs).artifacts["artifact"].uri == DATA
    assert train.event is TaskEvent.INPUTS_READY
    assert [ref.uri for ref in inputs_of(train).artifacts["data"]] == [DATA]


def key_of(made: Record, path: str) -> CacheKey:
    """The key under which a run looks for a result."""
    move = moves_of(made.look())[path]
    return decode(CacheKey, move.cache)


def test_results_of_equal_tasks_are_there_at_once_all_along_the_run() -> None:
    library = FakeLibrary()
    first = record("reusable", caching=True, library=library)
    key = key_of(first, "add")
    first.end("add", Output=2)
    second = key_of(first, "add-2")
    library.keep("add", key, TaskOutputs(parameters={"Output": 2}), ref=OTHER)
    library.keep("add", second, TaskOutputs(parameters={"Output": 12}), ref=OTHER)
    found = record("reusable", caching=True, library=library).look()
    assert {path: (move.event, move.reason.code) for path, move in moves_of(found).items()} == {
        "add": (TaskEvent.RESOLVE, ReasonCode.CACHED),
        "add-2": (TaskEvent.RESOLVE, ReasonCode.CACHED),
    }
    assert found.moves[0].reason.text == f"reused: 'earlier' of run {OTHER.run_id} was equal"
    assert inputs_of(found.moves[1]) == Values(parameters={"a": 2, "b": 10})
    assert (found.outcome, found.outputs) == (RunState.SUCCEEDED, Values(parameters={"Output": 12}))


def test_a_miss_is_explained_by_what_differs() -> None:
    library = FakeLibrary()
    key = key_of(record("reusable", caching=True, library=library), "add")
    library.keep("add", key, TaskOutputs(), ref=OTHER)
    found = record("reusable", caching=True, library=library, parameters={"n": 4}).look()
    assert found.moves[0].reason.text == (
        "its inputs are there; no earlier result is reused: no earlier task was the same: parameter a was 1, is 4"
    )


def test_the_first_of_its_kind_needs_no_explanation() -> None:
    found = record("reusable", caching=True).look()
    assert found.moves[0].reason.text == "its inputs are there"
    assert found.moves[0].cache is not None


def test_nothing_is_looked_up_where_the_run_is_not_to_reuse() -> None:
    made = record("reusable", caching=False)
    made.look()
    assert made.library.asked == []


def test_content_that_is_not_known_is_never_looked_up() -> None:
    made = record("trained", caching=True, parameters={"uri": "s3://bucket/data"})
    made.library.asked.clear()
    move = moves_of(made.look())["train"]
    assert move.cache is None
    assert move.reason.text == (
        "its inputs are there; no earlier result is looked for: the content of 'data' is not known"
    )
    assert made.library.asked == []


def test_exit_tasks_are_never_reused() -> None:
    made = record("guarded-loop", caching=True)
    made.look()
    made.end("exit-handler-1.count", "FAILED")
    move = moves_of(made.look())["report"]
    assert (move.event, move.cache) == (TaskEvent.INPUTS_READY, None)


def test_a_sub_pipeline_is_tried_again_after_its_back_off() -> None:
    made = record("everything")
    made.look()
    made.end("inner.add", "FAILED", "boom")
    found = made.look()
    move = moves_of(found)["inner~2.add"]
    assert (move.event, move.not_before) == (TaskEvent.INPUTS_READY, NOW + timedelta(seconds=7))
    assert {str(ref.path): paths for ref, paths in found.upstream.items()}["add"] == (
        "inner.add",
        "inner.add-2",
        "inner~2.add",
        "inner~2.add-2",
    )


def test_canceling_takes_back_what_is_not_placed_but_leaves_exit_tasks() -> None:
    made = record("guarded-loop", parameters={"n": 2})
    made.look()
    made.end("exit-handler-1.count", Output=[1, 2])
    made.look()
    made.end(f"{LOOP}[0].add", "RUNNING")
    made.end(f"{LOOP}[1].add", "ADMITTED")
    made.state = RunState.CANCELING
    taken = cancellations(made.run, made.tasks, now=NOW)
    assert [(move.ref.path, move.event, move.reason.code) for move in taken] == [
        (f"{LOOP}[1].add", TaskEvent.CANCEL, ReasonCode.RUN_CANCELED)
    ]
    found = made.look()
    assert {path: move.event for path, move in moves_of(found).items()} == {
        "exit-handler-1.total": TaskEvent.CANCEL
    }
    assert found.moves[0].reason.code is ReasonCode.RUN_CANCELED
    assert made.states(TaskState.WAITING) == {"report"}
    assert found.outcome is None


def test_the_exit_task_of_a_canceled_run_starts_when_what_it_guards_has_ended() -> None:
    made = record("guarded-loop", parameters={"n": 2})
    made.look()
    made.end("exit-handler-1.count", "RUNNING")
    made.state = RunState.CANCELING
    made.look()
    made.end("exit-handler-1.count", "CANCELED")
    [move] = made.look().moves
    assert (move.ref.path, move.event) == ("report", TaskEvent.INPUTS_READY)
    assert inputs_of(move).parameters["status"]["state"] == "CANCELLED"  # type: ignore[index]
    assert cancellations(made.run, made.tasks, now=NOW) == []
    made.end("report", Output="")
    assert made.look().outcome is RunState.CANCELED


def test_nothing_is_canceled_in_a_run_that_goes_on() -> None:
    made = record("guarded-loop")
    made.look()
    assert cancellations(made.run, made.tasks, now=NOW) == []


def test_a_run_that_would_become_too_large_starts_nothing_more() -> None:
    made = Record(program=replace(program("wide"), max_instances=5), parameters={"n": 9})
    made.look()
    made.end("count", Output=list(range(9)))
    found = made.look()
    assert {(move.event, move.reason.code) for move in found.moves} == {
        (TaskEvent.SKIP, ReasonCode.UPSTREAM_FAILED)
    }
    assert found.outcome is RunState.FAILED


def test_a_run_of_many_small_loops_that_becomes_too_large_says_so() -> None:
    made = Record(program=replace(program("wide"), max_instances=8), parameters={"n": 7})
    made.look()
    made.end("count", Output=list(range(7)))
    found = made.look()
    assert {(move.event, move.reason.code) for move in found.moves} == {
        (TaskEvent.SKIP, ReasonCode.RUN_TOO_LARGE)
    }
    assert (found.outcome, found.reason) == (
        RunState.FAILED,
        f"the run would have more than 8 tasks and iterations: {HOW_TO_SHRINK}",
    )


def _waiting_for_a_loop(*, names: int, others: int) -> Record:
    """A loop over an output, and `others` that wait for all its iterations, in names of `names` characters."""
    loop = "l" * names
    behind = {f"after-{number}": task("leaf", after=[loop]) for number in range(others)}
    over = task("body", loop_over="items", after=["make"])
    over["inputs"] = {
        "parameters": {
            "items": {"taskOutputParameter": {"producerTask": "make", "outputParameterKey": "Output"}}
        }
    }
    components = {
        "make": leaf(gives="LIST"),
        "leaf": leaf(),
        "body": leaf(takes={"items": "LIST", "item": "STRING"}),
    }
    ir = document({"make": task("make"), loop: over, **behind}, components)
    return Record(program=read_program(ir, max_instances=2000))


def test_what_tasks_wait_for_is_bounded_also_where_it_appears_while_the_run_goes_on() -> None:
    made = _waiting_for_a_loop(names=100, others=200)
    assert len(made.look().births) == 201
    made.end("make", Output=["x"] * 1000)
    found = made.look()
    assert (found.births, found.upstream) == ((), {})
    assert {(move.event, move.reason.code) for move in found.moves} == {
        (TaskEvent.SKIP, ReasonCode.RUN_TOO_LARGE)
    }
    assert len(found.moves) == 200
    assert found.outcome is RunState.FAILED
    assert found.reason == f"tasks were made while it ran, and {TOO_BROAD}"


def test_a_loop_of_which_the_names_have_room_goes_on() -> None:
    made = _waiting_for_a_loop(names=100, others=200)
    made.look()
    made.end("make", Output=["x"] * 700)
    found = made.look()
    assert (len(found.births), len(found.upstream), found.outcome) == (700, 200, None)
    named = sum(len(path) for upstream in found.upstream.values() for path in upstream)
    assert MOST_UPSTREAM / 2 < named < MOST_UPSTREAM


def test_a_run_that_became_too_broad_fails_when_what_runs_has_ended() -> None:
    made = _waiting_for_a_loop(names=100, others=200)
    made.look()
    made.tasks[TaskPath("elsewhere")] = RunTask(row=Row(state=TaskState.RUNNING), finaliser=False)
    made.end("make", Output=["x"] * 1000)
    found = made.look()
    assert (len(found.moves), found.outcome) == (200, None)
    made.end("elsewhere")
    assert made.look().outcome is RunState.FAILED


def test_what_is_born_names_the_first_of_many_that_it_waits_for() -> None:
    groups = {f"group-{number:02}": task("body", after=["make"]) for number in range(30)}
    ir = document(
        {"make": task("make"), **groups, "last": task("leaf", after=list(groups))},
        {"make": leaf(), "leaf": leaf(), "body": {"dag": {"tasks": {"one": task("leaf")}}}},
    )
    births = {birth.spec.path: birth for birth in Record(program=read_program(ir)).look().births}
    shown = ", ".join(f"group-{number:02}" for number in range(20))
    assert births[TaskPath("last")].reason == f"waits for {shown} and 10 more"
