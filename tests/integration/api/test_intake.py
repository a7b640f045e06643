"""Submissions that come at the same time: written together, and yet each for itself."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, RowMapping, event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from nodewise.api.choice import choose
from nodewise.api.intake import Intake
from nodewise.api.requests import submit_request
from nodewise.api.submission import new_run, read_submission
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.db.queries.submissions import EncodedRun, NewRun, encoded, insert_runs
from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.model.ids import RunId
from nodewise.core.settings import Settings
from tests.support.pipelines import compiled
from tests.support.waiting import wait_until

MANY = 12
KEYS, ROUNDS = 300, 3


class Wakes:
    """Stands for Redis."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def wake(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
def commits(engine: Engine) -> Iterator[list[int]]:
    """As many elements as there were commits."""
    found: list[int] = []

    def note(_: object) -> None:
        found.append(1)

    event.listen(engine, "commit", note)
    yield found
    event.remove(engine, "commit", note)


@pytest.fixture
def run(settings: Settings) -> Callable[..., NewRun]:
    def made(**more: object) -> NewRun:
        body: dict[str, object] = {"pipeline_spec": compiled()}
        submission = read_submission(submit_request(body), body, key=None, settings=settings)
        choice = choose(None, None, settings)
        return replace(new_run(submission, choice, {}, now=datetime.now(UTC)), **more)  # type: ignore[arg-type]

    return made


def test_what_gathered_while_another_was_written_is_written_at_once(
    engine: Engine, wakes: Wakes, commits: list[int], run: Callable[..., NewRun]
) -> None:
    intake, runs = Intake(engine, wakes), [run() for _ in range(MANY)]  # type: ignore[arg-type]
    rows = together(intake, runs)
    assert [str(row["id"]) for row in rows if isinstance(row, RowMapping)] == [one.id for one in runs]
    assert len(commits) == 1
    assert wakes.said in ([WAKE_SCHEDULER], [WAKE_RECORDER])
    with engine.connect() as connection:
        found = connection.execute(text(EVERYTHING), {"ids": [one.id for one in runs]}).one()
    tasks = sum(len(one.tasks) for one in runs)
    assert tuple(found) == (MANY, tasks, MANY + tasks, 1)
    with engine.connect() as connection:
        firsts = connection.execute(text(FIRST_EVENTS)).scalars().all()
    assert firsts == [None] * MANY


EVERYTHING = """
SELECT (SELECT count(*) FROM runs WHERE id = ANY(CAST(:ids AS uuid[]))), (SELECT count(*) FROM tasks),
       (SELECT count(*) FROM events), (SELECT count(*) FROM pipeline_specs)
"""
FIRST_EVENTS = "SELECT DISTINCT ON (run_id) path FROM events ORDER BY run_id, id"


def test_large_ones_are_written_one_by_one(
    engine: Engine,
    wakes: Wakes,
    commits: list[int],
    run: Callable[..., NewRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nodewise.api.intake._LARGEST_AT_ONCE", 1)
    answers = together(Intake(engine, wakes), [run(), run(), run()])  # type: ignore[arg-type]
    assert all(isinstance(answer, RowMapping) for answer in answers)
    assert len(commits) == 3


def test_one_that_the_schema_refuses_does_not_take_the_others_with_it(
    engine: Engine, wakes: Wakes, run: Callable[..., NewRun]
) -> None:
    gone = run(retry_of=RunId(str(uuid.uuid4())))
    runs = [run(), run(), gone, run()]
    answers = together(Intake(engine, wakes), runs)  # type: ignore[arg-type]
    assert [isinstance(answer, RowMapping) for answer in answers] == [True, True, False, True]
    assert isinstance(answers[2], IntegrityError)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 3


def test_of_two_with_the_same_key_one_is_written(
    engine: Engine, wakes: Wakes, run: Callable[..., NewRun]
) -> None:
    runs = [run(), run(idempotency_key="k"), run(idempotency_key="k"), run(idempotency_key="k", team="other")]
    answers = together(Intake(engine, wakes), runs)  # type: ignore[arg-type]
    assert [answer is None for answer in answers] in (
        [False, True, False, False],
        [False, False, True, False],
    )
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 3
        assert connection.execute(text("SELECT count(*) FROM tasks")).scalar() == 3 * len(runs[0].tasks)


def test_gateways_that_write_the_same_keys_at_once_do_not_wait_for_each_other_for_ever(
    engine: Engine, run: Callable[..., NewRun]
) -> None:
    """One begins with the last key of the other, and both are at it for long enough to meet."""
    begin = threading.Barrier(2)

    def write(runs: list[EncodedRun]) -> int:
        with transaction(engine) as connection:
            begin.wait(20)
            return len(insert_runs(connection, runs))

    with ThreadPoolExecutor(2) as threads:
        for turn in range(ROUNDS):
            ways = [
                [encoded(run(idempotency_key=f"{turn}-{number}")) for number in numbers]
                for numbers in (range(KEYS), reversed(range(KEYS)))
            ]
            assert sum(threads.map(write, ways)) == KEYS


def test_when_the_database_is_away_each_is_told(
    settings: Settings, wakes: Wakes, run: Callable[..., NewRun]
) -> None:
    nowhere = create_database(settings.model_copy(update={"database_url": "postgresql://u@127.0.0.1:1/x"}))
    answers = together(Intake(nowhere, wakes), [run(), run(), run()])  # type: ignore[arg-type]
    assert all(isinstance(answer, OperationalError) for answer in answers)
    assert wakes.said == []


def together(intake: Intake, runs: list[NewRun]) -> list[RowMapping | Exception | None]:
    """The answers to these, which come while another is written."""

    def write(run: NewRun) -> RowMapping | Exception | None:
        try:
            return intake.write(run)
        except (IntegrityError, OperationalError) as error:
            return error

    with ThreadPoolExecutor(len(runs)) as threads:
        with intake._writing:
            answers = [threads.submit(write, run) for run in runs]
            wait_until(lambda: len(intake._waiting) == len(runs), 20, "all to wait")
        return [answer.result() for answer in answers]
