"""Jobs: made of what is on record of a task, and the same after the way through the store."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from nodewise.core.codec import decode, encode
from nodewise.core.errors import InvalidPipeline, UnresolvedInput
from nodewise.core.ir import Advance, RunFacts, Values, read_program
from nodewise.core.ir.jobs import build_job
from nodewise.core.ir.tree import Leaf
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.component import (
    Argument,
    Concat,
    ContainerWork,
    IfPresent,
    ImportWork,
    PythonWork,
    Signature,
    Text,
)
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from tests.support import kfp_pipelines as kfp_made
from tests.support.dynamic_runs import FACTS, FakeRun, compiled_documents
from tests.support.kfp_pipelines import compiled_by_kfp
from tests.support.pipelines import compiled, hints
from tests.support.programs import job_of, leaf_of, spec_of
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES

DATA = ArtifactRef(name="train", uri="store://file/1", schema_title="system.Dataset", size_bytes=3)


def key_of(path: str, attempt: int = 1) -> AttemptKey:
    return AttemptKey(run_id=RunId("r-1"), path=TaskPath(path), attempt=attempt)


def test_a_job_has_all_that_an_agent_needs() -> None:
    program = read_program(*compiled_by_kfp(kfp_made.chain))
    inputs = Values(parameters={"rows": 3}, artifacts={"data": (DATA,)})
    job = build_job(
        leaf_of(program, "fit"),
        inputs,
        key=key_of("fit", 2),
        spec=spec_of(program, "fit"),
        facts=RunFacts(name="chain-1", run_id="r-1", created="c"),
        dataset_uri="store://file/2",
    )
    assert (job.key, job.run_name, job.component) == (key_of("fit", 2), "chain-1", "fit")
    assert isinstance(job.work, PythonWork)
    assert job.work.function == "fit"
    assert job.inputs == inputs
    assert list(job.signature.output_artifacts) == ["model"]
    assert list(job.signature.output_parameters) == ["Output"]
    assert job.dataset_uri == "store://file/2"
    assert job.memory_limit_mib is None
    assert (job.resources, job.timeout) == (Resources(millicores=1000, memory_mib=256), None)
    assert job.facts == {
        "pipeline_job_name": "chain-1",
        "pipeline_job_resource_name": "chain-1",
        "pipeline_job_uuid": "r-1",
        "pipeline_task_name": "fit",
        "pipeline_task_uuid": "r-1/fit",
        "pipeline_root": "",
        "pipeline_job_create_time_utc": "c",
        "pipeline_job_schedule_time_utc": "c",
    }


def limited(limit: str, *, rows: int) -> Job:
    """A job of a task with that memory limit and a data set of that many rows of half a KiB."""
    ir = compiled(tasks={"a": ()})
    ir["deploymentSpec"]["executors"]["exec-a"]["container"]["resources"] = {"resourceMemoryLimit": limit}
    hint = {"dataset": {"samples": rows, "features": 64}, "timeoutSeconds": 9}
    program = read_program(ir, hints(a=hint))
    spec = spec_of(program, "a")
    return build_job(leaf_of(program, "a"), Values(), key=key_of("a"), spec=spec, facts=FACTS)


def test_a_job_books_room_for_its_data_set_and_may_use_it() -> None:
    job = limited("64Mi", rows=1024 * 1024)
    assert job.resources == Resources(millicores=1000, memory_mib=1024)
    assert job.memory_limit_mib == 1024
    assert job.timeout == timedelta(seconds=9)


def test_a_limit_above_what_is_booked_stands() -> None:
    assert limited("2Gi", rows=1024 * 1024).memory_limit_mib == 2048


def corpus_leaf(case: str, name: str) -> Leaf:
    pipeline = next(each.pipeline for each in CASES if each.name == case)
    return leaf_of(read_program(*compiled_documents(pipeline)), name)


def test_an_importer_has_no_job() -> None:
    leaf = corpus_leaf("imported-constant", "importer")
    with pytest.raises(InvalidPipeline, match="does not run on a node"):
        job_of(leaf, Values())


def test_a_limit_that_is_none_is_named() -> None:
    leaf = corpus_leaf("resources-and-variables", "add")
    with pytest.raises(UnresolvedInput) as failed:
        job_of(leaf, Values(parameters={"pipelinechannel--cpu": "many"}), path="add")
    assert (failed.value.task, failed.value.input_name) == ("add", "resourceCpuLimit")


@dataclass
class Recording(FakeRun):
    """Makes a job of every task that becomes ready, as a placer would."""

    jobs: list[Job] = field(default_factory=list)

    def step(self) -> Advance:
        before = set(self.ready)
        now = super().step()
        for path, task in self.ready.items():
            if path not in before and not isinstance(task.leaf.work, ImportWork):
                self.jobs.append(job_of(task.leaf, task.inputs, path=path))
        return now


def corpus_jobs() -> Iterator[Job]:
    """The job of every task that starts in any run of the corpus."""
    for case in CASES:
        program = read_program(*compiled_documents(case.pipeline))
        run = Recording(
            program=program, functions=functions(), parameters=case.parameters, failures=case.failures
        )
        run.run()
        yield from run.jobs


def kinds_in(arguments: tuple[Argument, ...]) -> set[type]:
    found: set[type] = set()
    for argument in arguments:
        found.add(type(argument))
        if isinstance(argument, Concat):
            found |= kinds_in(argument.parts)
        if isinstance(argument, IfPresent):
            found |= kinds_in(argument.then) | kinds_in(argument.otherwise)
    return found


def test_every_job_of_the_corpus_survives_the_way_through_the_store() -> None:
    works: set[type] = set()
    arguments: set[type] = set()
    for job in corpus_jobs():
        again = decode(Job, encode(job))
        assert again == job
        # Equal values of other types (1, 1.0, True) are equal in Python.
        assert repr(again) == repr(job)
        assert type(again.work) is type(job.work)
        works.add(type(job.work))
        if isinstance(job.work, ContainerWork):
            arguments |= kinds_in(job.work.command + job.work.args)
    assert works == {PythonWork, ContainerWork}
    assert arguments == {Text, Concat, IfPresent}


@pytest.mark.parametrize(
    "work",
    [
        ContainerWork(image="x"),
        ContainerWork(image="", command=(), environment={"A": "1"}),
        PythonWork(source="", function="f"),
        PythonWork(source="def f(): ...", function="f", image="x", environment={"A": "1"}),
        ContainerWork(image="x", args=(Concat(parts=()), IfPresent(input_name="a", then=()), Text(text=""))),
        ContainerWork(
            image="x",
            args=(
                Concat(parts=(Text(text="a"), Concat(parts=(IfPresent(input_name="a", then=(Text(text="b"),)),)))),
                IfPresent(input_name="b", then=(Concat(parts=(Text(text="c"),)),), otherwise=(Text(text="d"),)),
            ),
        ),
    ],
)  # fmt: skip
def test_no_kind_of_work_or_argument_is_taken_for_another(work: PythonWork | ContainerWork) -> None:
    job = Job(key=key_of("a"), run_name="r", component="a", work=work)
    again = decode(Job, encode(job))
    assert (again, repr(again)) == (job, repr(job))


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, 1, 1.0, 0.5, "", "1", [], [1, 1.0, True, None], {}, {"a": {"b": [1.5]}}, 2**62],
)
def test_values_keep_their_types_on_the_way(value: object) -> None:
    job = Job(
        key=key_of("a"),
        run_name="r",
        component="a",
        work=PythonWork(source="", function="f"),
        signature=Signature(),
        inputs=Values(parameters={"x": value}, artifacts={"m": (DATA, DATA), "none": ()}),
    )
    again = decode(Job, encode(job))
    assert (again, repr(again)) == (job, repr(job))
