"""The test server runs what KFP's compiler writes as KFP's backend would, in time that is turned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from tests.support.kfp_server.behaviour import Execution, Outcome, by_task
from tests.support.kfp_server.cluster import FakeCluster, FakeNode, Needs
from tests.support.kfp_server.conditions import holds
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import compiled

component = dsl.component(base_image="python:3.11")


@component
def numbers() -> list:
    return [1, 2]


@component
def use(n: int) -> int:
    return n


@component
def name(text: str) -> str:
    return text


@component
def gather(values: list):
    pass


@component
def finish(status: dsl.PipelineTaskFinalStatus):
    pass


@dsl.pipeline(name="nested-loops")
def nested_loops():
    with dsl.ParallelFor(numbers().output) as n:
        with dsl.ParallelFor(["a", "b"], parallelism=1) as text:
            name(text=text)
        each = use(n=n)
    gather(values=dsl.Collected(each.output))


@dsl.pipeline(name="one-of")
def one_of(n: int = 1):
    first = use(n=n)
    with dsl.If(first.output == 1):
        left = name(text="left")
    with dsl.Else():
        right = name(text="right")
    name(text=dsl.OneOf(left.output, right.output))


@dsl.pipeline(name="inner")
def inner(text: str) -> str:
    return name(text=f"<{text}>").output


@dsl.pipeline(name="sub-pipelines")
def sub_pipelines():
    name(text=inner(text=inner(text="x").output).output)


@dsl.pipeline(name="handled")
def handled():
    with dsl.ExitHandler(finish()):
        use(n=use(n=1).set_retry(1).output)


@dsl.pipeline(name="large")
def large():
    for _ in range(3):
        use(n=1).set_cpu_request("3")


Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(server: KfpServer, tmp_path: Path) -> Play:
    """Run a pipeline to its end: its state, and the inputs of each pod in the order of their start."""

    def run(
        pipeline: Any, outcome: Callable[[Execution], Outcome], seconds: float = 1000, **given: Any
    ) -> Any:
        seen: list[tuple[str, dict[str, Any]]] = []

        def behave(execution: Execution) -> Outcome:
            seen.append((execution.task, dict(execution.inputs)))
            return outcome(execution)

        server.behave = behave
        ir, platforms = compiled(pipeline, tmp_path)
        spec = {"pipeline_spec": ir, "platform_spec": {"platforms": platforms}}
        body = {
            "run_id": "r",
            "display_name": "r",
            "pipeline_spec": spec,
            "runtime_config": {"parameters": given},
        }
        server.runs.create(body, server.experiments.default_id)
        server.turn(seconds)
        return {"state": server.runs.row("r").state, "seen": seen}

    return run


def echo(execution: Execution) -> Outcome:
    """Each task puts out its own input; what is only filled into that comes along under another name."""
    values = [value for key, value in execution.inputs.items() if not key.startswith("pipelinechannel")]
    return Outcome(outputs={"Output": values[0] if values else [1, 2]})


def test_loops_over_outputs_and_loops_in_loops_are_gathered_in_order(play: Play) -> None:
    found = play(nested_loops, echo)
    assert found["state"] == "SUCCEEDED"
    words = [inputs["text"] for task, inputs in found["seen"] if task == "name"]
    assert sorted(words) == ["a", "a", "b", "b"]
    assert ("gather", {"values": [1, 2]}) in found["seen"]


@pytest.mark.parametrize(("n", "side"), [(1, "left"), (2, "right")])
def test_a_branch_is_chosen_and_its_output_goes_on(play: Play, n: int, side: str) -> None:
    found = play(one_of, echo, n=n)
    assert found["state"] == "SUCCEEDED"
    assert [inputs["text"] for task, inputs in found["seen"] if task.startswith("name")] == [side, side]


def test_sub_pipelines_hand_their_outputs_up(play: Play) -> None:
    found = play(sub_pipelines, echo)
    assert [inputs["text"] for _, inputs in found["seen"]] == ["<x>", "<<x>>", "<<x>>"]


def test_an_exit_handler_runs_after_a_failure_and_the_run_has_failed(server: KfpServer, play: Play) -> None:
    found = play(handled, by_task(use=Outcome(fails="no")))
    assert found["state"] == "FAILED"
    assert found["seen"][-1] == ("finish", {"status": {"state": "FAILED"}})
    nodes = server.workflows("r")[0].tree.nodes
    phases = {path.partition(".root.")[2]: node.phase for path, node in nodes.items()}
    assert phases["exit-handler-1.use.executor(1)"] == "Failed"
    assert phases["exit-handler-1.use-2"] == "Omitted"
    assert phases["exit-handler-1.onExit.finish.executor"] == "Succeeded"


def test_what_does_not_fit_beside_others_waits_until_they_end(server: KfpServer, play: Play) -> None:
    found = play(large, lambda _: Outcome(seconds=10), seconds=5)
    assert len(found["seen"]) == 2
    nodes = server.workflows("r")[0].tree.nodes.values()
    assert [node.message for node in nodes if node.phase == "Pending"] == [
        "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu."
    ]
    server.turn(100)
    assert server.runs.row("r").state == "SUCCEEDED"


def test_wishes_decide_between_nodes_that_fit() -> None:
    cluster = FakeCluster([FakeNode(name="a"), FakeNode(name="b", labels={"disk": "ssd"})])
    wish = {"matchExpressions": [{"key": "disk", "operator": "Exists"}], "weight": 1}
    assert cluster.bind("pod", Needs(affinity=(wish,))) == "b"
    assert cluster.bind("other", Needs()) == "a"
    assert cluster.bind("gpu", Needs(gpus=1)) is None
    assert cluster.why_not(Needs(gpus=1)) == "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int(inputs.parameter_values['x']) > 2", True),
        ("!(int(inputs.parameter_values['x']) > 2) && int(inputs.parameter_values['x']) == 0", False),
        ("inputs.parameter_values['s'] == 'a b' || false", True),
        ("inputs.parameter_values['f'] == true", True),
        ("inputs.parameter_values['x'] <= 2.5", False),
    ],
)
def test_conditions_are_read(text: str, expected: bool) -> None:
    assert holds(text, {"x": 3, "s": "a b", "f": True}) is expected


@pytest.mark.parametrize("text", ["__import__('os')", "1 +", "(1 == 1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        holds(text, {})
