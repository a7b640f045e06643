"""What of a submission no node can take: every task, not the first ones only."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import create_engine

from nodewise.api.requests import submit_request
from nodewise.api.submission import Submission, read_submission
from nodewise.api.unfit import NodesSeen, Unfit, unfit, unfit_now
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DatasetFacts
from nodewise.core.settings import Settings
from tests.support.pipelines import compiled, hints

CHAIN: Mapping[str, tuple[str, ...]] = {"load": (), "train": ("load",), "test": ("train",)}
SMALL = Node(name=NodeName("small"), capacity=Resources(millicores=4000, memory_mib=4096))
LARGE = Node(name=NodeName("large"), capacity=Resources(millicores=64_000, memory_mib=65_536))


def submission(ir: dict[str, Any] | None = None, **body: Any) -> Submission:
    body = {"pipeline_spec": ir or compiled(tasks=CHAIN), **body}
    return read_submission(submit_request(body), body, key=None, settings=Settings())


def needing(cores: str, *names: str, ir: dict[str, Any] | None = None) -> dict[str, Any]:
    """A pipeline some tasks of which need so many cores."""
    ir = ir or compiled(tasks=CHAIN)
    for name in names:
        ir["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["resources"] = {
            "resourceCpuLimit": cores
        }
    return ir


def paths(found: list[Unfit]) -> list[tuple[TaskPath, ...]]:
    return [one.paths for one in found]


def test_every_task_that_fits_nowhere_is_named_with_the_reason() -> None:
    (found,) = unfit(submission(needing("64", "test")), {}, [SMALL])
    assert (found.paths, found.tasks, found.code) == (("test",), 1, ReasonCode.UNSATISFIABLE)
    assert found.text == (
        "no node can ever take it; it needs 64 cores, 256 MiB. small: has 4 cores in all, needs 64"
    )


def test_one_node_that_is_large_enough_will_do_however_busy() -> None:
    assert unfit(submission(needing("64", "test")), {}, [SMALL, LARGE]) == []


def test_tasks_come_in_the_order_of_the_pipeline() -> None:
    assert paths(unfit(submission(needing("64", "test", "load")), {}, [SMALL])) == [("load",), ("test",)]


def test_no_node_at_all_is_no_fault_of_the_pipeline() -> None:
    assert unfit(submission(needing("64", "test")), {}, []) == []


def test_what_the_author_wishes_counts() -> None:
    wished = hints(train={"requirements": {"labels": {"disk": "fast"}}})
    assert paths(unfit(submission(platform_spec=wished), {}, [SMALL, LARGE])) == [("train",)]


def test_the_memory_of_a_data_set_counts() -> None:
    """Twice its size in memory is needed."""
    named = submission(platform_spec=hints(train={"dataset": {"name": "d"}}))
    facts = {"d": DatasetFacts(name="d", size_bytes=40 * 1024**3, measured=True)}
    assert paths(unfit(named, facts, [SMALL, LARGE])) == [("train",)]
    assert unfit(named, {}, [SMALL]) == []


def test_the_tasks_of_a_loop_are_told_of_together() -> None:
    ir = needing("64", "train")
    ir["components"]["comp-train"]["inputDefinitions"] = {
        "parameters": {"item": {"parameterType": "NUMBER_INTEGER"}}
    }
    ir["root"]["dag"]["tasks"]["train"]["parameterIterator"] = {
        "itemInput": "item",
        "items": {"raw": str([*range(30)])},
    }
    (found,) = unfit(submission(ir), {}, [SMALL])
    assert (found.tasks, len(found.paths), found.paths[0]) == (30, 20, "train[0]")


@pytest.mark.parametrize("engine", ["agents", "kubernetes"])
def test_nodes_of_another_engine_are_none(engine: str) -> None:
    other = Node(name=NodeName("n"), capacity=LARGE.capacity, engine="kubeflow")
    assert len(unfit(submission(engine=engine), {}, [other])) == len(CHAIN)


def test_what_fits_is_remembered_for_as_long_as_the_nodes_are() -> None:
    now = [0.0]
    seen = NodesSeen(_clock=lambda: now[0])
    engine = create_engine("sqlite://")
    seen._nodes, seen._until = [SMALL], 1.0
    assert unfit_now(submission(), engine, seen) == []
    key = (submission().pipeline.digest, "agents")
    assert seen.fitted(key)
    assert not seen.fitted((submission(needing("64", "test")).pipeline.digest, "agents"))
    now[0] = 1.0
    assert not seen.fitted(key)
