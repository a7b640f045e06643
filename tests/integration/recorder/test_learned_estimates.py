"""What was learned, as rows: it survives the database, adds up from several recorders, and tells when it changed."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from nodewise.core.db.engine import transaction
from nodewise.core.db.forecasts import Forecaster
from nodewise.core.db.queries.estimates import beliefs_version, load_beliefs, record_outcomes
from nodewise.core.estimates.learning import Beliefs, Observation, Query, observe_all
from tests.support.rows import NOW


def seen(task_class: str, node_class: str, seconds: float, peak: float | None = None) -> Observation:
    query = Query(task_class=task_class, node_class=node_class, input_bytes=1e6)
    return Observation(query=query, seconds=seconds, peak_memory_mib=peak)


FIRST = (seen("svm", "big", 3.0, 80), seen("svm", "small", 9.0), seen("svm", "big", 4.0))
SECOND = (seen("tree", "big", 1.0, 20), seen("svm", "big", 5.0))


def record(engine: Engine, outcomes: Sequence[Observation], *, after: float = 0.0) -> None:
    with transaction(engine) as connection:
        record_outcomes(connection, outcomes, at=NOW + timedelta(seconds=after))


def learned(engine: Engine) -> Beliefs:
    with engine.connect() as connection:
        return load_beliefs(connection)


def test_nothing_is_believed_before_anything_was_seen(engine: Engine) -> None:
    with engine.connect() as connection:
        assert beliefs_version(connection) is None
    record(engine, [])
    assert learned(engine) == Beliefs()


def test_the_rows_hold_what_observing_everything_gives(engine: Engine) -> None:
    record(engine, FIRST)
    record(engine, SECOND, after=1)
    expected = observe_all(Beliefs(), [*FIRST, *SECOND])
    found = learned(engine)
    assert found.seconds == expected.seconds
    assert {pair: samples for pair, samples in found.memory.items() if samples.seen} == expected.memory


@pytest.mark.parametrize("outcome", [FIRST[0], FIRST[1], SECOND[0]], ids=["latest", "known", "new"])
@pytest.mark.parametrize("after", [1.0, 0.0, -60.0])
def test_the_version_moves_on_with_every_outcome_whatever_the_clock_says(
    engine: Engine, after: float, outcome: Observation
) -> None:
    record(engine, FIRST)
    with engine.connect() as connection:
        before = beliefs_version(connection)
    record(engine, [outcome], after=after)
    with engine.connect() as connection:
        now = beliefs_version(connection)
    assert before is not None
    assert now is not None
    assert now > before


def test_outcomes_of_two_recorders_at_once_all_count(engine: Engine) -> None:
    """The second waits for the first one's pairs, and starts from what it wrote."""
    second = threading.Thread(target=record, args=(engine, [FIRST[0], FIRST[1]]))
    with transaction(engine) as connection:
        record_outcomes(connection, [FIRST[1], FIRST[0]], at=NOW)
        second.start()
        second.join(timeout=0.3)
        assert second.is_alive()
    second.join(timeout=10)
    assert {pair: samples.seen for pair, samples in learned(engine).seconds.items()} == {
        ("svm", "big"): 2,
        ("svm", "small"): 2,
    }


@dataclass
class Stopwatch:
    """Each look at it finds that so many seconds have passed."""

    step: float
    now: float = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def samples_known(forecaster: Forecaster, engine: Engine) -> int:
    with engine.connect() as connection:
        return forecaster.current(connection).model.predict(FIRST[0].query).samples


def test_a_forecast_follows_what_is_learned_at_once_where_a_fit_is_cheap(engine: Engine) -> None:
    forecaster = Forecaster(clock=Stopwatch(step=0.01))
    known = [samples_known(forecaster, engine)]
    for number in range(3):
        record(engine, [FIRST[0]], after=number)
        known.append(samples_known(forecaster, engine))
    assert known == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("fit_seconds", "rest_seconds", "wait"),
    [
        pytest.param(1.0, 0.0, 20.0, id="a fit that takes long"),
        pytest.param(0.001, 1.0, 1.0, id="who must hold up nobody"),
    ],
)
def test_a_fit_is_repeated_after_a_rest_only(
    engine: Engine, fit_seconds: float, rest_seconds: float, wait: float
) -> None:
    watch = Stopwatch(step=fit_seconds)
    forecaster = Forecaster(rest_seconds=rest_seconds, clock=watch)
    record(engine, [FIRST[0]])
    assert samples_known(forecaster, engine) == 1
    record(engine, [FIRST[0]], after=1)
    assert samples_known(forecaster, engine) == 1
    watch.now += wait
    assert samples_known(forecaster, engine) == 2


def test_who_decides_in_a_hurry_learns_afterwards(engine: Engine) -> None:
    def known() -> int:
        with transaction(engine) as connection:
            return forecaster.latest(connection).model.predict(FIRST[0].query).samples

    forecaster = Forecaster(clock=Stopwatch(step=0.001))
    record(engine, [FIRST[0]])
    assert known() == 1, "the first time there is nothing to decide by yet"
    record(engine, [FIRST[0]], after=1)
    assert known() == 1
    forecaster.catch_up(engine)
    assert known() == 2


def test_learning_costs_the_same_few_statements_however_much_ended(engine: Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    record(engine, [seen(f"class-{n % 7}", "big", 1.0 + n) for n in range(60)])
    assert len(statements) == 2
