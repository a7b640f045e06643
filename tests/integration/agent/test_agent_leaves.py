"""All that a component may declare of itself, as KFP compiles it, honoured by a real agent."""

# ruff: noqa: PLC0415, PTH103, PTH118, PTH123, UP035, UP006, UP045 - KFP reads these annotations, and what a component imports, it imports itself

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, List, Optional

import pytest
from kfp import dsl

from nodewise.core.lifecycle import AttemptState
from nodewise.core.model.decision import ReasonCode
from tests.support.agent_runs import AgentRun
from tests.support.agents import AgentProcess
from tests.support.container_runtimes import FAKE, IMAGE, fake_runtime

SLOW = 120.0
component = dsl.component(base_image=IMAGE, install_kfp_package=False)


@component
def around() -> dict:
    import os

    names = ["OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "MODE", "EMPTY", "PATH", "REDIS_URL"]
    return {name: os.environ.get(name) for name in names}


@component
def shard(number: int, rows: dsl.Output[dsl.Dataset]):
    import os

    os.makedirs(os.path.join(rows.path, "deep"))
    with open(os.path.join(rows.path, "deep", "part.txt"), "w") as file:
        file.write("x" * number)
    rows.metadata["rows"] = number
    rows.metadata["tags"] = ["a", "b"]


@component
def gather(shards: dsl.Input[List[dsl.Dataset]]) -> list:
    import os

    found = []
    for one in shards:
        with open(os.path.join(one.path, "deep", "part.txt")) as file:
            found.append([len(file.read()), one.metadata["rows"], one.metadata["tags"]])
    return found


@component
def lenient(text: str = "default", number: Optional[int] = None, extra: dsl.Input[dsl.Dataset] = None) -> str:
    return f"{text} {number} {extra}"


@component
def hungry():
    held = bytearray(600 << 20)
    import time

    time.sleep(60)
    print(len(held))


@component
def fail():
    raise ValueError("on purpose")


@component
def last(status: dsl.PipelineTaskFinalStatus) -> dict:
    return {"state": status.state, "name": status.pipeline_task_name, "error": status.error_message}


@component
def facts(run: str, task: str) -> str:
    return f"{run} {task}"


@dsl.container_component
def sized(
    table: dsl.Input[dsl.Dataset], line: dsl.OutputPath(str), comment: Optional[str] = None
) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-c", 'out="$1"; shift; printf "%s|" "$@" > "$out"', "sh", line],
        args=[
            dsl.ConcatPlaceholder(["--rows=", table.metadata["rows"]]),
            dsl.IfPresentPlaceholder("comment", then=["--comment", comment], else_=["--silent"]),
            table.path,
        ],
    )  # fmt: skip


@dsl.container_component
def counted(shards: dsl.Input[List[dsl.Dataset]], line: dsl.OutputPath(str)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    program = (
        "import json, sys\n"
        "given = json.loads(sys.argv[1])['inputs']['artifacts']['shards']['artifacts']\n"
        "sizes = [len(open(one['uri'] + '/deep/part.txt').read()) for one in given]\n"
        "open(sys.argv[2], 'w').write(str(sorted(sizes)))"
    )
    return dsl.ContainerSpec(image=IMAGE, command=["python3", "-c", program], args=["{{$}}", line])


@pytest.fixture
def dock(stopped_agent: AgentProcess, tmp_path: Path) -> Iterator[AgentProcess]:
    """A running agent with a fake container runtime."""
    with fake_runtime(tmp_path / "fake") as env:
        stopped_agent.start("--container-runtime", str(FAKE), **env)
        yield stopped_agent
        stopped_agent.close()


def finished(agent: AgentProcess, pipeline: Any, **parameters: object) -> AgentRun:
    """The run of the pipeline after its end, in which nothing failed."""
    run = AgentRun(agent, pipeline, parameters)
    for path, report in run.run(SLOW).items():
        assert report.state is AttemptState.SUCCEEDED, f"{path}: {report.message}"
    return run


def test_variables_threads_and_devices(stopped_agent: AgentProcess) -> None:
    @dsl.pipeline(name="around")
    def pipeline() -> None:
        task = around().set_cpu_limit("3").set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
        task.set_env_variable("MODE", "fast").set_env_variable("EMPTY", "")

    stopped_agent.start(CUDA_VISIBLE_DEVICES="1,3")
    run = AgentRun(stopped_agent, pipeline)
    job = run.step()["around"]
    assert (job.resources.millicores, job.resources.gpus) == (3000, 1)
    stopped_agent.submit(job)
    report = stopped_agent.end_of(job.key, SLOW)
    assert report.outputs is not None, report.message
    assert report.outputs.parameters["Output"] == {
        "OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "1,3", "MODE": "fast", "EMPTY": "", "PATH": os.environ["PATH"],
        "REDIS_URL": None,
    }  # fmt: skip


def test_a_list_of_artifacts_arrives_whole_with_its_metadata(agent: AgentProcess) -> None:
    @dsl.pipeline(name="shards")
    def pipeline() -> None:
        with dsl.ParallelFor([1, 2, 3]) as number:
            made = shard(number=number)
        gather(shards=dsl.Collected(made.outputs["rows"]))

    run = finished(agent, pipeline)
    assert run.outputs("gather")["Output"] == [[1, 1, ["a", "b"]], [2, 2, ["a", "b"]], [3, 3, ["a", "b"]]]


def test_what_is_optional_may_be_absent(agent: AgentProcess) -> None:
    @dsl.pipeline(name="lenient")
    def pipeline() -> None:
        lenient()
        lenient(text="given", number=3)

    run = finished(agent, pipeline)
    assert run.outputs("lenient") == {"Output": "default None None"}
    assert run.outputs("lenient-2") == {"Output": "given 3 None"}


def test_a_task_above_the_memory_limit_that_it_declared_is_ended(agent: AgentProcess) -> None:
    @dsl.pipeline(name="hungry")
    def pipeline() -> None:
        hungry().set_memory_limit("300Mi")

    report = AgentRun(agent, pipeline).run(SLOW)["hungry"]
    assert (report.state, report.reason) == (AttemptState.FAILED, ReasonCode.OUT_OF_MEMORY)
    assert (report.message or "").endswith("limit 300 MiB")


def test_an_exit_task_hears_how_the_rest_ended(agent: AgentProcess) -> None:
    @dsl.pipeline(name="exits")
    def pipeline() -> None:
        with dsl.ExitHandler(last()):
            fail()

    run = AgentRun(agent, pipeline)
    reports = run.run(SLOW)
    (failed,) = [report for path, report in reports.items() if path.endswith("fail")]
    assert failed.message == "ValueError: on purpose"
    told = run.outputs("last")["Output"]
    assert isinstance(told, dict)
    assert (told["state"], told["name"]) == ("FAILED", "exit-handler-1")
    assert "fail" in told["error"]


def test_facts_of_the_run_reach_the_task(agent: AgentProcess) -> None:
    @dsl.pipeline(name="facts")
    def pipeline() -> None:
        facts(run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, task=dsl.PIPELINE_TASK_NAME_PLACEHOLDER)

    run = finished(agent, pipeline)
    assert run.outputs("facts") == {"Output": f"{run.id} facts"}


def test_placeholders_in_the_words_of_a_container(dock: AgentProcess) -> None:
    @dsl.pipeline(name="sized")
    def pipeline() -> None:
        table = shard(number=5).outputs["rows"]
        sized(table=table)
        sized(table=table, comment="two words")

    run = finished(dock, pipeline)
    root = dock.work_dir / "attempts" / run.id
    silent, loud = (str(run.outputs(path)["line"]).split("|") for path in ("sized", "sized-2"))
    assert silent[:2] == ["--rows=5", "--silent"]
    assert Path(silent[2]).is_relative_to(root / "sized")
    assert loud[:3] == ["--rows=5", "--comment", "two words"]


def test_a_container_sees_every_artifact_of_a_list(dock: AgentProcess) -> None:
    @dsl.pipeline(name="counted")
    def pipeline() -> None:
        with dsl.ParallelFor([1, 2]) as number:
            made = shard(number=number)
        counted(shards=dsl.Collected(made.outputs["rows"]))

    assert finished(dock, pipeline).outputs("counted") == {"line": "[1, 2]"}


def test_a_python_component_with_an_image_of_its_own_runs_as_a_process(dock: AgentProcess) -> None:
    @dsl.component(base_image="registry.invalid/none:1", install_kfp_package=False)
    def where() -> int:
        import os

        return os.getppid()

    @dsl.pipeline(name="where")
    def pipeline() -> None:
        where()

    assert finished(dock, pipeline).outputs("where") == {"Output": dock.pid}
