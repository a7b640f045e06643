"""Done when (5): four placers at once, 500 tasks of 0.1 core, four nodes; nothing overbooked, each task placed once."""

from sqlalchemy import Engine

from nodewise.core.db.engine import create_database, transaction
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.support.placing import (
    DRIFT,
    MOST_BOOKED,
    RecordingCarrier,
    add_nodes,
    all_rows,
    finish_placed,
    looking,
    make_placer,
    make_scheduler,
    submit,
)
from tests.support.waiting import wait_until

TASKS, RUNS = 500, 10
TENTH = Resources(millicores=100, memory_mib=10)


def test_four_placers_never_overbook_and_place_each_task_once(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1, n2=2, n3=1.5, n4=0.7)
    strategies = ["greedy", "random", "round_robin", "custom"]
    with transaction(engine) as connection:
        for run in range(RUNS):
            paths = [f"t{index:02}" for index in range(TASKS // RUNS)]
            submit(connection, *paths, resources=TENTH, strategy=strategies[run % 4])
    small = settings.model_copy(update={"placement_batch": 10})
    engines = [create_database(small, name=f"placer-{number}") for number in range(4)]
    carrier, failures = RecordingCarrier(), list[BaseException]()
    placers = [
        make_placer(own, small, name=f"placer-{number}", carrier=carrier)
        for number, own in enumerate(engines)
    ]
    scheduler = make_scheduler(engine, small)

    def all_finished() -> bool:
        scheduler.look()
        finish_placed(engine)
        return all_rows(engine, "SELECT count(*) FROM tasks WHERE state <> 'SUCCEEDED'") == [(0,)]

    with looking(placers, failures):
        wait_until(all_finished, 60, "all tasks to succeed")
    for own in engines:
        own.dispose()

    assert failures == []
    most = all_rows(engine, MOST_BOOKED)
    assert len(most) == 4
    assert all(booked <= capacity for _, booked, capacity in most), most  # type: ignore[operator]
    assert all_rows(engine, "SELECT count(*), max(attempt) FROM attempts") == [(TASKS, 1)]
    assert all_rows(engine, "SELECT count(*) FROM events WHERE event = 'place'") == [(TASKS,)]
    assert all_rows(engine, "SELECT count(*) FROM bookings WHERE released_at IS NOT NULL") == [(TASKS,)]
    assert len(all_rows(engine, "SELECT DISTINCT placer FROM attempts")) > 1, "several placers took part"
    # On a slow machine a start is sent again when nobody has accepted it for a while; always to the same node.
    assert len({(node, job.key) for node, job in carrier.started}) == TASKS
    assert all_rows(engine, DRIFT) == []
