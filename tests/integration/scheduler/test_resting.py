from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event, text

from nodewise.core.db.engine import reading, transaction
from nodewise.core.settings import Settings
from nodewise.scheduler.service import LOOKS_BEFORE_REST
from tests.support.placing import add_nodes, all_rows, make_scheduler, submit

STATES = "SELECT path, state FROM tasks ORDER BY path"
END = "UPDATE runs SET state = 'SUCCEEDED', started_at = now(), finished_at = now()"


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_scheduler_without_runs_asks_one_question_and_wakes_for_the_next_run(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=2)
    scheduler = make_scheduler(engine, settings)
    for _ in range(LOOKS_BEFORE_REST):
        with statements(engine) as seen:
            scheduler.look()
        assert len(seen) > 3
    with statements(engine) as seen:
        scheduler.look()
    assert len(seen) == 1
    with transaction(engine) as connection:
        submit(connection, "a")
    scheduler.look()
    assert all_rows(engine, STATES) == [("a", "ADMITTED")]


def test_after_the_last_run_a_few_whole_looks_follow(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    with transaction(engine) as connection:
        submit(connection, "a")
    scheduler = make_scheduler(engine, settings)
    for _ in range(LOOKS_BEFORE_REST + 3):
        with statements(engine) as seen:
            scheduler.look()
        assert len(seen) > 3
    with transaction(engine) as connection:
        connection.execute(text(END))
    lengths = []
    for _ in range(LOOKS_BEFORE_REST + 1):
        with statements(engine) as seen:
            scheduler.look()
        lengths.append(len(seen))
    assert all(length > 3 for length in lengths[:-1])
    assert lengths[-1] == 1


def test_reading_begins_no_transaction(engine: Engine) -> None:
    with reading(engine) as connection:
        first, second = (connection.scalar(text("SELECT now()")) for _ in range(2))
    with transaction(engine) as connection:
        third, fourth = (connection.scalar(text("SELECT now()")) for _ in range(2))
    assert first != second
    assert third == fourth
