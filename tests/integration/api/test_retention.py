"""Retention: what goes, what stays, and that nothing is ever without its content."""

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import cached_results
from nodewise.core.db.queries.ended_runs import stored_run
from nodewise.core.db.queries.specs import insert_spec
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import RunId
from nodewise.core.store.addresses import AddressKind
from nodewise.core.store.blobs import Blobs
from tests.support.retention import MONTH, Kept
from tests.support.rows import counted_rows

DAY = timedelta(days=1)


@pytest.fixture
def kept(engine: Engine, store_url: str) -> Kept:
    made = Kept(engine, store_url)
    made.node()
    return made


def left_out(kept: Kept) -> tuple[RunId, ...]:
    """Runs that stay, whatever retention is asked for: open, ended lately, still holding a node, tried again just now."""
    open_run = kept.run(
        [kept.content(tree=True)], ended=None, state=RunState.RUNNING, task_state=TaskState.RUNNING, attempt_state="RUNNING"
    )  # fmt: skip
    late = kept.run([kept.content()], ended=DAY)
    holding = kept.run([kept.content()], state=RunState.CANCELED, attempt_state="RUNNING")
    retried = kept.run([kept.content()], state=RunState.FAILED)
    again = kept.run([], ended=None, state=RunState.PENDING, retry_of=retried)
    return open_run, late, holding, retried, again


def test_what_ended_long_ago_goes_with_all_that_only_it_had(kept: Kept) -> None:
    shared = kept.content()
    gone = [kept.run([kept.content(), kept.content(tree=True, shared=b"both"), shared]) for _ in range(5)]
    old_result = kept.result(gone[0], kept.content())
    stay = left_out(kept)
    kept.run([shared, kept.content(tree=True, shared=b"both")], ended=DAY)
    kept.dataset("numbers", kept.content())
    stays = kept.result(stay[1], kept.content())
    kept.content()
    kept.age()
    told = kept.prune(dry_run=True)
    assert len(kept.ids("runs")) == len(stay) + 1 + len(gone)
    before = kept.stored()
    removed = kept.prune()
    assert removed == told
    assert kept.ids("runs") & set(gone) == set()
    assert kept.ids("runs") >= set(stay)
    assert kept.ids("cached_results", "digest") == {stays}
    assert old_result != stays
    assert kept.stored() == kept.needed()
    assert (removed["runs"], removed["tasks"], removed["attempts"], removed["events"]) == (5, 5, 5, 5)
    assert (removed["results"], removed["pipelines"], removed["log_files"]) == (1, 5, 5)
    assert removed["directories"] + removed["artifact_files"] == len(before) - len(kept.stored())
    assert {path.name for path in (kept.folder / "keys" / "logs").iterdir()} == kept.ids("runs")
    assert set(kept.prune().values()) == {0}


def test_a_file_of_jobs_stays_as_long_as_the_run_of_one_of_them(kept: Kept) -> None:
    file = kept.content()
    older = kept.run(job=f"{file}#1")
    younger = kept.run(job=f"{file}#12", ended=DAY)
    kept.age()
    kept.prune()
    assert kept.ids("runs") == {younger}
    assert file in kept.stored()
    assert kept.prune(dry_run=True)["runs"] == 0
    kept.now += MONTH
    kept.age()
    kept.prune()
    assert older not in kept.ids("runs")
    assert (kept.ids("runs"), kept.stored()) == (set(), set())


def test_failed_runs_stay_where_that_is_asked_for(kept: Kept) -> None:
    failed, canceled = kept.run(state=RunState.FAILED), kept.run(state=RunState.CANCELED)
    kept.age()
    assert kept.prune(keep_failed=True)["runs"] == 1
    assert kept.ids("runs") == {failed}
    assert canceled not in kept.ids("runs")
    assert kept.prune()["runs"] == 1


def test_what_was_learned_and_what_recurs_is_not_touched(kept: Kept) -> None:
    run_id = kept.run()
    with transaction(kept.engine) as connection:
        connection.execute(text("INSERT INTO runtime_estimates VALUES ('t', 'n', '{}', '{}', now())"))
        connection.execute(
            text("""
INSERT INTO schedules (id, name, team, spec_digest, pipeline_name, request, interval_seconds, start_at, catchup,
                       max_concurrency, enabled, request_digest, created_at)
SELECT gen_random_uuid(), 'nightly', 'default', spec_digest, 'pipeline', '{}', 60, now(), true, 1, false, '0', now()
FROM runs WHERE id = :id
"""),
            {"id": run_id},
        )
    kept.age()
    removed = kept.prune()
    assert (removed["runs"], removed["pipelines"]) == (1, 0)
    rows = counted_rows(kept.engine)
    assert (rows["runtime_estimates"], rows["schedules"], rows["pipeline_specs"], rows["nodes"]) == (
        1,
        1,
        1,
        1,
    )


@pytest.mark.parametrize("steps", range(1, 14))
def test_left_off_after_any_step_nothing_is_without_its_content_and_the_rest_goes_next_time(
    kept: Kept, steps: int
) -> None:
    gone = [kept.run([kept.content(tree=True)]) for _ in range(3)]
    kept.result(gone[0], kept.content(tree=True))
    kept.run([kept.content(tree=True)], ended=DAY)
    kept.age()
    pruner, at = kept.pruner(), kept.start()
    for _ in range(steps):
        _, following = pruner.take(at)
        kept.check_whole()
        if following is None:
            break
        at = following
    kept.prune()
    assert kept.stored() == kept.needed()
    assert kept.ids("runs") & set(gone) == set()


class Pulled(Exception):
    """The process is gone."""


@pytest.mark.parametrize("at_call", range(1, 10, 2))
@pytest.mark.parametrize("call", ["move", "remove"])
def test_ended_between_two_files_it_is_finished_next_time(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, call: str, at_call: int
) -> None:
    for _ in range(3):
        kept.run([kept.content(tree=True)])
    kept.age()
    calls = 0
    real: Callable[..., bool] = getattr(Blobs, call)

    def pulled(*args: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == at_call:
            raise Pulled
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, call, pulled)
        with pytest.raises(Pulled):
            kept.prune()
    kept.check_whole()
    kept.prune()
    assert kept.stored() == kept.needed() == set()
    assert list((kept.folder / "tmp").iterdir()) == []


def test_what_was_put_aside_when_the_process_died_comes_back_if_it_is_wanted_again(kept: Kept) -> None:
    """Between the move and the last look, somebody had refreshed it, and then we were killed."""
    uri = kept.content()
    kept.run([uri], ended=DAY)
    place = next(kept.folder.glob("file/*/" + uri.rpartition("/")[2]))
    kept.age()
    os.utime(place)
    aside = kept.folder / "tmp" / f"swept-file-{place.parent.name}-{place.name}-{'0' * 32}"
    aside.parent.mkdir(exist_ok=True)
    place.rename(aside)
    draft = kept.folder / "tmp" / ("1" * 32)
    draft.write_bytes(b"half of it")
    kept.prune()
    kept.check_whole()
    assert draft.exists()
    kept.age()
    kept.prune()
    assert not draft.exists()


def test_content_that_is_refreshed_in_the_last_moment_is_put_back(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = kept.content()
    kept.age()
    real = Blobs.move

    def refreshed_before(blobs: Blobs, path: str, to: str) -> bool:
        if path.startswith("file/"):
            assert kept.store.put_bytes(f"content {kept.tick}".encode()) == uri
        return real(blobs, path, to)

    monkeypatch.setattr(Blobs, "move", refreshed_before)
    assert kept.prune()["artifact_files"] == 0
    assert kept.stored() == {uri}


def test_a_result_that_is_being_reused_stays_until_that_is_on_record(kept: Kept) -> None:
    uri = kept.content(tree=True)
    digest = kept.result(kept.run([uri]), uri)
    user = kept.run([], ended=None, state=RunState.RUNNING, task_state=TaskState.RUNNING)
    kept.age()
    pruner, at = kept.pruner(), kept.start()
    with transaction(kept.engine) as connection:
        assert cached_results.find_result(connection, digest) is not None
        while at.step in ("runs", "results"):
            _, following = pruner.take(at)
            assert following is not None
            at = following
        assert kept.ids("cached_results", "digest") == {digest}
        connection.execute(
            text("UPDATE tasks SET outputs = (SELECT outputs FROM cached_results) WHERE run_id = :id"),
            {"id": user},
        )
    kept.prune()
    assert kept.ids("cached_results", "digest") == set()
    assert uri in kept.stored()
    kept.check_whole()


def test_a_pipeline_that_is_about_to_be_used_again_stays(kept: Kept) -> None:
    run_id = kept.run()
    with transaction(kept.engine) as connection:
        insert_spec(connection, f"digest-{run_id}", {}, {})
        assert kept.prune()["pipelines"] == 0
    assert kept.prune()["pipelines"] == 1


def test_a_run_that_is_being_tried_again_stays(kept: Kept) -> None:
    run_id = kept.run(state=RunState.FAILED)
    with transaction(kept.engine) as connection:
        assert stored_run(connection, run_id) is not None
        assert kept.prune()["runs"] == 0
    assert kept.prune()["runs"] == 1


def test_content_that_is_written_again_meanwhile_stays(kept: Kept) -> None:
    """A task writes what is there already, unused and old; its row comes later. The second sweep finds the row."""
    uri = kept.content(tree=True)
    kept.age()
    source = kept.folder.parent / f"tree-{kept.tick}"
    pruner = kept.pruner(digests=1000)
    group, _ = pruner.sweeper.old(uri_kind(uri), 0, most=1000)
    assert kept.store.put_path(source)[0] == uri
    assert pruner.sweeper.take(uri_kind(uri), group, group).files == 0
    removed = kept.prune()
    assert (removed["directories"], removed["artifact_files"]) == (0, 0)
    kept.run([uri], ended=DAY)
    kept.check_whole()


def uri_kind(uri: str) -> AddressKind:
    return AddressKind(uri.split("/")[2])
