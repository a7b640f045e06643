"""Compiled pipelines with something wrong in them, for KFP: each is refused whole, or is bound, handed over and ended on record.

Whether it runs is KFP's to say: what it refuses, or fails, is FAILED here with its words.
"""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from sqlalchemy import Engine

from nodewise.api.refusals import REFUSALS, problem_of
from nodewise.core.lifecycle import FINAL_RUN_STATES
from nodewise.core.model.ids import RunId
from nodewise.core.settings import Settings
from tests.integration.kubeflow.test_kubeflow_corpus import NODES
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow_services import Services
from tests.support.mutants import FUZZ, Mutant, mutant, names_a_place
from tests.support.rows import counted_rows

WAITS_FOR_NODES = {"unsatisfiable", "no_room"}
LONG = 1_000_000.0


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with KfpServer(NODES) as server:
        yield server


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_tasks_per_run": 100})


def submitted(services: Services, made: Mutant) -> tuple[RunId | None, list[dict[str, str]]]:
    """The run, or the faults that were found."""
    try:
        return services.submit((made.ir, made.platforms), parameters=made.parameters), []
    except REFUSALS as error:
        return None, [{"field": fault.field, "rule": fault.rule} for fault in problem_of(error).faults]


@FUZZ
@given(rng=st.randoms(use_true_random=True))
def test_a_mutant_is_refused_whole_or_ended_on_record(
    services: Services, engine: Engine, rng: Random
) -> None:
    made = mutant(rng)
    before = counted_rows(engine)
    run_id, refusal = submitted(services, made)
    if run_id is None:
        event("refused")
        assert names_a_place(refusal)
        assert counted_rows(engine) == before
        return
    services.run_to_the_end(LONG)
    state, error = services.run(run_id)
    event(state)
    if state in FINAL_RUN_STATES:
        assert state == "SUCCEEDED" or error
        return
    assert {code for code, _ in services.reasons(run_id).values() if code} & WAITS_FOR_NODES
    services.cancel(run_id)
    services.follower.look()
    assert services.run(run_id)[0] == "CANCELED"
