"""What is said of a task and of one call of it: caching, packages, retries, time, name; and container tasks."""

from datetime import timedelta
from typing import Any

import pytest
from kfp import dsl

from nodewise.core.ir import read_program
from nodewise.core.ir.tree import Dag, Leaf, Step
from nodewise.core.model.component import ContainerWork, PythonWork, Text
from nodewise.sdk import (
    Command,
    Dataset,
    In,
    Model,
    Out,
    Pipeline,
    PipelineError,
    compile,  # noqa: A004
    container_task,
    each,
    pipeline,
    task,
)
from tests.support.sdk_flows import both, double, kfp_reads


@task(cache=True, packages=["numpy==2.1.0", "pandas"])
def reused(n: int = 1) -> int:
    return n


@task(retries=1, timeout="1h", cache=True)
def patient() -> int:
    return 1


@container_task(image="alpine:3.20", kind="evaluation", env={"MODE": "fast"}, retries=2)
def count(table: In[Dataset], word: str, rows: Out[int], report: Out[Dataset], limit: int = 5):
    return [
        "sh",
        "-c",
        'grep -c "$0" "$1" > "$2"',
        word,
        table.path,
        rows.path,
        report.path,
        f"--limit={limit}",
    ]


@container_task(image="trainer")
def fit(model: Out[Model], rate: float | None = None):
    return Command(args=["--model", model.uri, dsl.IfPresentPlaceholder("rate", ["--rate", rate])])


@task
def table(data: Out[Dataset]):
    pass


def steps_of(target: Pipeline) -> dict[str, Step]:
    compiled = compile(target)
    kfp_reads(compiled)
    return {
        step.name: step for step in read_program(compiled.pipeline_spec, compiled.platform_spec).root.steps
    }


def leaf_of(step: Step) -> Leaf:
    assert isinstance(step.component, Leaf)
    return step.component


def test_results_are_reused_only_where_the_author_wants_it() -> None:
    @pipeline
    def p():
        double(n=1)
        double(n=1).cache()
        reused()
        reused().cache(False)

    steps = steps_of(p)
    assert {name: step.cache.enabled for name, step in steps.items()} == {
        "double": False, "double-2": True, "reused": True, "reused-2": False,
    }  # fmt: skip
    tasks = compile(p).pipeline_spec["root"]["dag"]["tasks"]
    assert tasks["double"]["cachingOptions"] == {"enableCache": False}
    assert tasks["double-2"]["cachingOptions"] == {"enableCache": True}


def test_a_task_in_a_block_and_in_a_pipeline_is_not_reused_either() -> None:
    @pipeline
    def p():
        with each([1]) as n:
            both(n=n)

    spec = compile(p).pipeline_spec
    tasks = [
        task
        for part in spec["components"].values()
        if "dag" in part
        for task in part["dag"]["tasks"].values()
    ]
    assert len(tasks) == 3
    assert all(task["cachingOptions"] == {"enableCache": False} for task in tasks)


def test_kfps_own_pipelines_keep_what_kfp_wrote() -> None:
    @dsl.component(base_image="python:3.11")
    def one() -> int:
        return 1

    @dsl.pipeline(name="theirs")
    def p():
        one()
        one().set_caching_options(False)

    tasks = compile(p).pipeline_spec["root"]["dag"]["tasks"]
    assert [tasks[name]["cachingOptions"] for name in ("one", "one-2")] == [{"enableCache": True}, {}]


def test_packages_travel_in_the_image_and_without_one() -> None:
    @task(image="mine", packages=["scipy"])
    def elsewhere() -> int:
        return 1

    @pipeline
    def p():
        reused()
        elsewhere()

    works = {name: leaf_of(step).work for name, step in steps_of(p).items()}
    assert isinstance(works["reused"], PythonWork)
    assert isinstance(works["elsewhere"], PythonWork)
    assert works["reused"].packages == ("numpy==2.1.0", "pandas")
    assert works["elsewhere"].packages == ("scipy",)
    command = compile(p).pipeline_spec["deploymentSpec"]["executors"]["exec-elsewhere"]["container"][
        "command"
    ]
    assert not any("kfp==" in part for part in command)


def test_a_calls_retries_and_time_replace_the_tasks() -> None:
    @pipeline
    def p():
        patient()
        patient().retries(5, backoff="30s", factor=3, max_backoff="10m").timeout(timedelta(minutes=2))
        both(n=1).retries(2)

    steps = steps_of(p)
    first, second = steps["patient"], steps["patient-2"]
    assert (first.retry.max_retries, leaf_of(first).hints.timeout) == (1, timedelta(hours=1))
    assert (second.retry.max_retries, leaf_of(second).hints.timeout) == (5, timedelta(minutes=2))
    assert (second.retry.backoff, second.retry.factor, second.retry.max_backoff) == (
        timedelta(seconds=30), 3.0, timedelta(minutes=10),
    )  # fmt: skip
    assert steps["both"].retry.max_retries == 2
    platform_spec = compile(p).platform_spec
    assert platform_spec is not None
    kubernetes = platform_spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert [kubernetes[f"exec-patient{n}"]["activeDeadlineSeconds"] for n in ("", "-2")] == [3600, 120]


def test_a_name_is_shown_and_the_path_stays() -> None:
    @pipeline
    def p():
        double(n=1).named("Twice as much")

    assert steps_of(p)["double"].display_name == "Twice as much"


def test_a_container_task_is_its_command() -> None:
    @pipeline
    def p(word: str = "x"):
        counted = count(table=table().data, word=word)
        double(n=counted.rows)
        count(table=counted.report, word="y", limit=2).on_node("n1")
        fit(rate=0.5)
        fit()

    steps = steps_of(p)
    leaf = leaf_of(steps["count"])
    assert isinstance(leaf.work, ContainerWork)
    assert leaf.work.image == "alpine:3.20"
    words = [part.text for part in leaf.work.command if isinstance(part, Text)]
    assert words[3:] == [
        "{{$.inputs.parameters['word']}}",
        "{{$.inputs.artifacts['table'].path}}",
        "{{$.outputs.parameters['rows'].output_file}}",
        "{{$.outputs.artifacts['report'].path}}",
        "--limit={{$.inputs.parameters['limit']}}",
    ]
    assert (leaf.hints.kind, leaf.work.environment, steps["count"].retry.max_retries) == (
        "evaluation",
        {"MODE": "fast"},
        2,
    )
    assert leaf_of(steps["count-2"]).hints.requirements.nodes == ("n1",)
    assert steps["double"].upstream == ("count",)
    trained = leaf_of(steps["fit"]).work
    assert isinstance(trained, ContainerWork)
    assert (trained.command, len(trained.args)) == ((), 3)


def test_a_container_task_is_still_its_function() -> None:
    data = Dataset(uri="/tmp/d")
    assert count(data, "w", Dataset(uri="/tmp/n"), Dataset(uri="/tmp/r"))[3:] == [
        "w",
        "/tmp/d",
        "/tmp/n",
        "/tmp/r",
        "--limit=5",
    ]


@pytest.mark.parametrize(
    ("returned", "rule"),
    [(None, "must return its command"), ([], "must return its command"), ("ls", "must return its command")],
)
def test_a_container_task_that_says_no_command(returned: Any, rule: str) -> None:
    @container_task(image="x")
    def wrong():
        return returned

    @pipeline
    def p():
        wrong()

    with pytest.raises(PipelineError, match=rule):
        compile(p)


def test_dags_are_no_leaves() -> None:
    @pipeline
    def p():
        both(n=1)

    assert isinstance(steps_of(p)["both"].component, Dag)
