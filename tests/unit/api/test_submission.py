"""From a request to rows, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nodewise.api.choice import Choice
from nodewise.api.problems import Problem
from nodewise.api.requests import submit_request
from nodewise.api.submission import Submission, digest_of, new_run, outlined_tasks, read_submission
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.breadth import TOO_BROAD
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.task import DatasetFacts
from nodewise.core.settings import Settings
from tests.support.pipelines import compiled, hints
from tests.unit.core_ir.corpus.handwritten import document, leaf, task

RAW = "root.dag.tasks.loop.parameterIterator.items.raw"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
CHOICE = Choice(policy="fifo", strategy="greedy")


def submission(*, max_tasks: int = 10, **body: Any) -> Submission:
    body = {"pipeline_spec": compiled(tasks={"train": ()}), **body}
    settings = Settings(max_tasks_per_run=max_tasks, kfp_url="http://kfp.invalid")
    return read_submission(submit_request(body), body, key=None, settings=settings)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


def test_the_team_is_the_requests_then_the_authors_then_the_default() -> None:
    author = hints({"team": "authors"})
    assert submission(platform_spec=author, team="mine").team == "mine"
    assert submission(platform_spec=author).team == "authors"
    assert submission().team == "default"


def test_measured_facts_win_and_the_authors_fill_the_gaps() -> None:
    named = submission(
        platform_spec=hints(train={"dataset": {"name": "d", "samples": 1, "features": 2, "sizeBytes": 3}})
    )
    registered = {"d": DatasetFacts(name="d", samples=100, size_bytes=999)}
    [task] = new_run(named, CHOICE, registered, now=NOW).tasks
    assert task.spec.dataset == DatasetFacts(name="d", samples=100, features=2, size_bytes=999, measured=True)


def test_effort_is_estimated_where_the_task_is_described() -> None:
    described = hints(
        train={
            "kind": "training",
            "dataset": {"name": "d", "samples": 1000, "features": 10},
            "model": {"type": "linear_regression"},
        }
    )
    [task] = new_run(submission(platform_spec=described), CHOICE, {}, now=NOW).tasks
    assert task.effort_flops is not None
    assert task.effort_flops > 0
    assert task.input_bytes == 1000 * 10 * 8
    [task] = new_run(submission(), CHOICE, {}, now=NOW).tasks
    assert task.effort_flops is None
    assert task.input_bytes is None


def test_a_deadline_of_the_author_counts_from_the_submission() -> None:
    run = new_run(submission(platform_spec=hints({"deadlineSeconds": 90})), CHOICE, {}, now=NOW)
    assert run.deadline == NOW + timedelta(seconds=90)


def looping(*items: object) -> dict[str, Any]:
    return document({"loop": task("leaf", items=items)}, {"leaf": leaf(takes={"item": "NUMBER_INTEGER"})})


@pytest.mark.parametrize("engine", ["agents", KUBEFLOW])
def test_an_item_that_would_fail_in_every_run_is_refused_on_every_engine(engine: str) -> None:
    with pytest.raises(InvalidPipeline) as refused:
        submission(pipeline_spec=looping(1, "a"), engine=engine)
    assert refused.value.path == f"{RAW}[1]"


def test_a_fraction_as_an_item_is_refused_only_where_it_would_fail() -> None:
    """KFP's own back end passes it on to what wants a whole number."""
    assert submission(pipeline_spec=looping(1, 2.5), engine=KUBEFLOW).engine == KUBEFLOW
    with pytest.raises(InvalidPipeline) as refused:
        submission(pipeline_spec=looping(1, 2.5), engine="agents")
    assert refused.value.path == f"{RAW}[1]"


def broad(*, first: int, then: int) -> dict[str, Any]:
    """A loop over constants, and tasks that wait for all its iterations."""
    loop = "l" * 100
    behind = {f"after-{number}": task("leaf", after=[loop]) for number in range(then)}
    return document(
        {loop: task("body", items=["x"] * first), **behind},
        {"leaf": leaf(), "body": leaf(takes={"item": "STRING"})},
    )


@pytest.mark.parametrize("engine", ["agents", KUBEFLOW])
def test_what_tasks_wait_for_is_bounded_on_every_engine(engine: str) -> None:
    asked = submission(pipeline_spec=broad(first=1000, then=200), engine=engine, max_tasks=2000)
    with pytest.raises(Problem) as refused:
        new_run(asked, CHOICE, {}, now=NOW)
    assert (refused.value.status, refused.value.faults[0].rule) == (422, TOO_BROAD)
    fitting = submission(pipeline_spec=broad(first=700, then=200), engine=engine, max_tasks=2000)
    assert len(new_run(fitting, CHOICE, {}, now=NOW).tasks) == 900


def test_so_it_is_in_what_is_planned_for() -> None:
    asked = submission(pipeline_spec=broad(first=1000, then=200), max_tasks=2000)
    with pytest.raises(Problem):
        outlined_tasks(asked, {})
