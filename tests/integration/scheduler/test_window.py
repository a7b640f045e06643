"""A queue that is longer than what the scheduler looks at at a time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.window import Window, window_of
from nodewise.core.model.ids import RunId
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.support.placing import add_nodes, all_rows, make_scheduler, submit
from tests.support.rows import NOW

HALF = Resources(millicores=500, memory_mib=10)
HUGE = Resources(millicores=9000, memory_mib=10)
ADMITTED = "SELECT path FROM tasks WHERE state = 'ADMITTED' ORDER BY path"


def queue(
    connection: Connection, team: str, count: int, *, first: int = 0, name: str = "", **more: Any
) -> list[RunId]:
    """That many runs of a task each, named `team-0` and so on, one submitted each second from the `first` on."""
    more = {"resources": HALF, **more}
    return [
        submit(
            connection,
            f"{name or team}-{number}",
            team=team,
            submitted_at=NOW + timedelta(seconds=first + number),
            **more,
        )
        for number in range(count)
    ]


def seen(connection: Connection, size: int) -> list[set[RunId]]:
    """Looks until the moving part begins again."""
    looks, after = [], None
    while True:
        found = window_of(connection, size, after=after)
        assert isinstance(found, Window)
        looks.append(set(found.runs))
        after = found.passed
        if after is None:
            return looks


def test_a_queue_that_is_short_enough_is_looked_at_as_a_whole(engine: Engine) -> None:
    with transaction(engine) as connection:
        queue(connection, "blue", 10)
        assert window_of(connection, 10, after=None) is None
        assert window_of(connection, 9, after=None) is not None


def test_each_team_has_its_share_and_everybody_has_a_turn(engine: Engine) -> None:
    with transaction(engine) as connection:
        loud, quiet = queue(connection, "loud", 60), queue(connection, "quiet", 5, first=1000)
        looks = seen(connection, 20)
    assert all(set(quiet[:4]) <= look for look in looks), "the head has as many of one team as of the other"
    assert all(len(look) <= 20 for look in looks)
    assert set().union(*looks) == {*loud, *quiet}
    assert len(looks) == pytest.approx(65 / 6, abs=1)


def test_who_is_urgent_or_goes_first_is_always_there(engine: Engine) -> None:
    with transaction(engine) as connection:
        queue(connection, "blue", 50)
        (urgent,) = queue(connection, "blue", 1, first=1000, deadline=NOW + timedelta(hours=1))
        (first,) = queue(connection, "blue", 1, first=1001, priority=9)
        looks = seen(connection, 20)
    assert all({urgent, first} <= look for look in looks)


@pytest.mark.parametrize("strategy", ["greedy", "portfolio"])
def test_a_head_that_fits_nowhere_does_not_hold_up_the_rest(
    engine: Engine, settings: Settings, strategy: str
) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        queue(connection, "stuck", 40, resources=HUGE, priority=5, strategy=strategy)
        queue(connection, "stuck", 2, name="small", first=1000, strategy=strategy)
    scheduler = make_scheduler(engine, settings.model_copy(update={"queue_window": 10}))
    looks = 0
    while all_rows(engine, ADMITTED) != [("small-0",), ("small-1",)]:
        scheduler.look()
        looks += 1
        assert looks <= 16


def test_what_was_not_looked_at_counts_as_waiting(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        queue(connection, "blue", 40)
    scheduler = make_scheduler(engine, settings.model_copy(update={"queue_window": 10}))
    with transaction(engine) as connection:
        found = scheduler.loader.snapshot(connection, NOW)
    assert len(found.queue) + found.beyond == 40
    assert 4 <= len(found.queue) <= 10
    scheduler.look()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM tasks WHERE state = 'ADMITTED'")) == 2
