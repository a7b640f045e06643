"""What is put away here is put away in KFP, whatever happens in between; and a run that KFP failed is tried again."""

from typing import Any

import pytest
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.ended_runs import archive_run, runs_to_archive, stored_run
from nodewise.core.model.ids import RunId
from tests.support.kfp_server.behaviour import Outcome, by_task
from tests.support.kubeflow_services import Services

Document = tuple[dict[str, Any], dict[str, Any]]


def put_away(services: Services, run_id: RunId, *, archived: bool = True) -> None:
    """As the gateway does."""
    with transaction(services.engine) as connection:
        assert archive_run(connection, run_id, archived=archived, now=services.now())


def in_kfp(services: Services, run_id: RunId) -> str:
    return services.server.runs.rows[run_id].storage_state


def left(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(runs_to_archive(connection, limit=100))


@pytest.fixture
def ended(services: Services, chain_ir: Document) -> RunId:
    run_id = services.submit(chain_ir)
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"
    return run_id


def test_kfp_puts_it_away_and_takes_it_back(services: Services, ended: RunId) -> None:
    put_away(services, ended)
    services.follower.look()
    assert in_kfp(services, ended) == "ARCHIVED"
    asked = len(services.server.requests)
    services.follower.look()
    assert len(services.server.requests) == asked, "what KFP knows is not told again"
    put_away(services, ended, archived=False)
    services.follower.look()
    assert in_kfp(services, ended) == "AVAILABLE"
    assert left(services.engine) == 0


def test_a_kfp_that_is_down_is_told_later(services: Services, ended: RunId) -> None:
    put_away(services, ended)
    services.server.down()
    services.follower.look()
    assert left(services.engine) == 1
    services.server.up()
    services.follower.look()
    assert (in_kfp(services, ended), left(services.engine)) == ("ARCHIVED", 0)


def test_what_was_taken_back_before_kfp_was_told_needs_no_word(services: Services, ended: RunId) -> None:
    put_away(services, ended)
    put_away(services, ended, archived=False)
    assert left(services.engine) == 0


def test_a_run_that_kfp_has_lost_is_put_away_here(services: Services, ended: RunId) -> None:
    services.server.lose(ended)
    put_away(services, ended)
    services.follower.look()
    assert left(services.engine) == 0


def test_a_no_of_kfp_is_not_asked_for_again(services: Services, ended: RunId) -> None:
    put_away(services, ended)
    services.follower.look()
    server = services.server
    server.experiments.set(server.experiments.default_id, "storage_state", "ARCHIVED")
    put_away(services, ended, archived=False)
    services.follower.look()
    assert (in_kfp(services, ended), left(services.engine)) == ("ARCHIVED", 0)
    asked = len(server.requests)
    services.follower.look()
    assert len(server.requests) == asked


def test_the_next_try_of_a_run_is_another_run_of_kfp(services: Services, chain_ir: Document) -> None:
    services.server.behave = by_task(double=Outcome(fails="no luck"))
    first = services.submit(chain_ir, parameters={"n": 3})
    services.run_to_the_end()
    assert services.run(first)[0] == "FAILED"
    with services.engine.connect() as connection:
        stored = stored_run(connection, first)
    assert stored is not None
    assert (stored.engine, stored.parameters) == ("kubeflow", {"n": 3})
    services.server.behave = by_task()
    again = services.retry(first)
    services.run_to_the_end()
    assert services.run(again) == ("SUCCEEDED", None)
    assert services.run(first)[0] == "FAILED"
    assert [workflow.run_id for workflow in services.server.runs.workflows] == [first, again]
