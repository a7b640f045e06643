"""New tasks, as their rows say it."""

from typing import Any

from nodewise.core.ir import Values, read_program
from nodewise.core.ir.births import new_task
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.birth import NewTask
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DatasetFacts, TaskSpec
from tests.support.dynamic_runs import compiled_documents
from tests.support.pipelines import compiled, hints
from tests.support.programs import born
from tests.unit.core_ir.corpus.every import CASES

WINE = DatasetFacts(name="wine", samples=100, size_bytes=900, measured=True)


def birth(
    hint: dict[str, Any], *, resources: dict[str, Any] | None = None, **datasets: DatasetFacts
) -> NewTask:
    """The one task of a pipeline with these hints, after another one."""
    ir = compiled(tasks={"a": ()})
    ir["deploymentSpec"]["executors"]["exec-a"]["container"]["resources"] = resources or {}
    (step,) = read_program(ir, hints(a=hint)).root.steps
    upstream = (TaskPath("x"), TaskPath("y[0]"))
    leaf = step.component
    return new_task(step, leaf, path=TaskPath("loop[1].a"), upstream=upstream, datasets=datasets)  # type: ignore[arg-type]


def of_corpus(name: str) -> dict[TaskPath, NewTask]:
    return born(read_program(*compiled_documents(next(c.pipeline for c in CASES if c.name == name))))


def test_a_new_task_waits_whatever_it_waits_for() -> None:
    task = birth({})
    assert (task.spec.path, task.spec.upstream) == ("loop[1].a", ("x", "y[0]"))
    assert (task.ready, task.state, task.inputs, task.reason) == (False, TaskState.WAITING, None, None)
    assert all(one.state is TaskState.WAITING for one in of_corpus("one-task").values())


def test_it_is_ready_as_it_is_said_and_else_if_it_waits_for_nothing() -> None:
    alone, after = TaskSpec(path=TaskPath("a"), component="a"), birth({}).spec
    assert NewTask(spec=alone).state is TaskState.READY
    assert NewTask(spec=after).state is TaskState.WAITING
    assert NewTask(spec=after, ready=True, inputs=Values()).state is TaskState.READY
    assert NewTask(spec=alone, ready=False).state is TaskState.WAITING


def test_its_work_and_its_data_are_estimated_from_what_its_author_says() -> None:
    task = birth({"kind": "preprocessing", "dataset": {"samples": 50, "features": 4}})
    assert (task.effort_flops, task.input_bytes) == (200.0, 1600.0)


def test_what_is_measured_counts_more() -> None:
    hint = {"kind": "preprocessing", "dataset": {"name": "wine", "samples": 50, "features": 4}}
    task = birth(hint, wine=WINE)
    assert (task.effort_flops, task.input_bytes) == (400.0, 3200.0)
    assert task.spec.dataset is not None
    assert (task.spec.dataset.samples, task.spec.dataset.features, task.spec.dataset.measured) == (
        100,
        4,
        True,
    )
    assert birth(hint, other=WINE).effort_flops == 200.0


def test_nothing_is_known_of_a_task_without_hints() -> None:
    task = birth({})
    assert (task.effort_flops, task.input_bytes) == (None, None)


def test_amounts_that_are_written_are_needed_from_the_start() -> None:
    task = birth({}, resources={"resourceCpuLimit": "500m", "resourceMemoryRequest": "1Gi"})
    assert task.spec.resources == Resources(millicores=500, memory_mib=1024)
    assert not task.spec.requirements.containers


def test_amounts_from_parameters_are_not_known_yet() -> None:
    add = of_corpus("resources-and-variables")[TaskPath("add")]
    # Its cpu limit is a parameter; until it is known, nothing of its needs is.
    assert add.spec.resources == Resources(millicores=1000, memory_mib=256)
    assert add.spec.requirements.accelerator is None


def test_who_brings_an_image_needs_a_container_runtime() -> None:
    tasks = of_corpus("containers")
    assert {path: task.spec.requirements.containers for path, task in tasks.items()} == {
        "load": False,
        "shell": True,
        "shell-2": True,
        "hello": True,
    }


def test_an_importer_needs_no_room() -> None:
    assert of_corpus("imported-constant")[TaskPath("importer")].spec.resources == Resources()


def test_exit_tasks_are_marked() -> None:
    assert {path: task.finaliser for path, task in of_corpus("two-exit-handlers").items()} == {
        "exit-handler-1.echo": False,
        "exit-handler-2.fail": False,
        "report": True,
        "report-2": True,
    }
