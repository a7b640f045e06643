"""The corpus of pipelines, through the Kubeflow engine, on the test server: the same ends at the same paths."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.errors import KfpRefused
from nodewise.core.engine.kubeflow.following import sight
from nodewise.core.engine.kubeflow.leaves import leaves
from nodewise.core.engine.kubeflow.nodes import read_node
from nodewise.core.engine.kubeflow.paths import in_the_ir, place_of
from nodewise.core.engine.kubeflow.runs import KfpState
from nodewise.core.engine.kubeflow.tasks import SightedState
from tests.support.dynamic_runs import compiled_documents
from tests.support.kfp_server.api import kubernetes_node
from tests.support.kfp_server.behaviour import Execution, Outcome
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import MemoryJournal, a_submission
from tests.unit.core_ir.corpus.case import Case
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES

NODES = tuple(
    FakeNode(name=f"n{number}", gpus=4, millicores=64_000, memory_mib=65_536) for number in (1, 2, 3)
)
REFUSED_BY_KFP = {"loop-over-artifacts": "artifact iterator not implemented yet"}
NOT_ON_THE_TEST_SERVER = {"sub-pipeline-tried-again": "it does not try sub-pipelines again"}
IDS = [f"{index}-{case.name}" for index, case in enumerate(CASES)]


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with KfpServer(NODES) as server:
        yield server


def function_of(ir: dict[str, Any], label: str) -> Callable[..., Any] | None:
    # What tasks shared was copied when they were placed.
    original = label.partition("-copy-")[0]
    args = ir["deploymentSpec"]["executors"][original]["container"].get("args", [])
    flag = "--function_to_execute"
    return functions().get(args[args.index(flag) + 1]) if flag in args else None


def called(function: Callable[..., Any], inputs: dict[str, Any]) -> Any:
    """The function's result; artifacts are not carried by the test server, so they are empty ones."""
    given = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in inputs:
            value = inputs[parameter.name]
            given[parameter.name] = SimpleNamespace(**value) if parameter.name == "status" else value
        elif parameter.default is inspect.Parameter.empty:
            given[parameter.name] = SimpleNamespace(
                name=parameter.name, path="", uri="", metadata={"rows": 1}, state=""
            )
    return function(**given)


def behaving(case: Case, ir: dict[str, Any]) -> Callable[[Execution], Outcome]:
    """The corpus' own functions, and its failures by path."""
    tries: Counter[str] = Counter()

    def behave(execution: Execution) -> Outcome:
        place = place_of(execution.path, execution.path.partition(".")[0])
        assert place is not None
        tries[place.path] += 1
        if tries[place.path] <= case.failures.get(place.path, 0):
            return Outcome(fails="made to fail")
        function = function_of(ir, execution.executor)
        if function is None:
            return Outcome()
        try:
            result = called(function, dict(execution.inputs))
        except ValueError as error:
            return Outcome(fails=str(error))
        except TypeError:
            # What it counts or iterates over is a list of artifacts.
            return Outcome(outputs={"Output": 3})
        if result is None:
            return Outcome()
        return Outcome(outputs=result._asdict() if hasattr(result, "_asdict") else {"Output": result})

    return behave


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_it_ends_as_documented_and_each_pod_ran_where_it_was_placed(server: KfpServer, case: Case) -> None:
    if case.name in NOT_ON_THE_TEST_SERVER:
        pytest.skip(NOT_ON_THE_TEST_SERVER[case.name])
    ir, second = compiled_documents(case.pipeline)
    server.behave = behaving(case, ir)
    known = [read_node(kubernetes_node(node)) for node in NODES]
    chosen = {path: [known[number % 3]] for number, path in enumerate(sorted(leaves(ir)))}
    kfp = KfpClient(KfpConnection(url=server.url))
    try:
        engine = KubeflowEngine(kfp, MemoryJournal(), clock=lambda: server.clock.now)
        submission = a_submission((ir, second.get("platforms", {})), **case.parameters)
        if case.name in REFUSED_BY_KFP:
            with pytest.raises(KfpRefused, match=REFUSED_BY_KFP[case.name]):
                engine.start(submission, chosen)
            return
        engine.start(submission, chosen)
        server.settle(1_000_000)
        run = kfp.get_run(submission.run_id)
        assert run is not None
        tasks = sight(kfp, run).tasks
    finally:
        kfp.close()
    assert run.state is KfpState(case.outcome)
    for state, wanted in ((SightedState.SUCCEEDED, case.succeeded), (SightedState.FAILED, case.failed)):
        assert {task.path for task in tasks if task.state is state} == set(wanted.split())
    for task in tasks:
        if task.path in case.succeeded.split() and task.node is not None:
            assert task.node == chosen[in_the_ir(task.path)][0].name
