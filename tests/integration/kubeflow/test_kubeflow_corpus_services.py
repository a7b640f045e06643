"""A sample of the corpus of pipelines through the services and the test server: the record says what KFP documents."""

from collections.abc import Iterator

import pytest

from tests.integration.kubeflow.test_kubeflow_corpus import (
    NODES,
    NOT_ON_THE_TEST_SERVER,
    REFUSED_BY_KFP,
    behaving,
)
from tests.support.dynamic_runs import compiled_documents
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow_services import Services
from tests.unit.core_ir.corpus.case import Case
from tests.unit.core_ir.corpus.every import CASES

SAMPLE = [
    case for index, case in enumerate(CASES) if index % 3 == 0 or case.failures or case.name in REFUSED_BY_KFP
]


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with KfpServer(NODES) as server:
        yield server


@pytest.mark.parametrize("case", SAMPLE, ids=[case.name for case in SAMPLE])
def test_it_ends_on_record_as_documented(services: Services, case: Case) -> None:
    if case.name in NOT_ON_THE_TEST_SERVER:
        pytest.skip(NOT_ON_THE_TEST_SERVER[case.name])
    ir, second = compiled_documents(case.pipeline)
    services.server.behave = behaving(case, ir)
    run_id = services.submit((ir, second.get("platforms", {})), parameters=dict(case.parameters))
    services.hand_over()
    services.server.turn(2)
    services.follower.look()
    services.server.settle(1_000_000)
    services.follower.look()
    state, error = services.run(run_id)
    tasks = services.tasks(run_id)
    if case.name in REFUSED_BY_KFP:
        assert state == "FAILED"
        assert REFUSED_BY_KFP[case.name] in error
        return
    assert state == case.outcome
    for wanted, paths in (("SUCCEEDED", case.succeeded), ("FAILED", case.failed)):
        assert {path for path, state in tasks.items() if state == wanted} == set(paths.split())
    assert set(tasks.values()) <= {"SUCCEEDED", "FAILED", "SKIPPED"}
    assert set(case.skipped.split()) <= {path for path, state in tasks.items() if state == "SKIPPED"}
    nodes = services.nodes(run_id)
    assert {path: nodes[path] for path in services.hosts(run_id)} == services.hosts(run_id)
