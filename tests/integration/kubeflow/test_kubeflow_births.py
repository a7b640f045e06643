"""The rows of tasks that appear in KFP while their run goes on."""

import pytest
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.model.ids import TaskPath
from nodewise.recorder.kubeflow import births
from nodewise.recorder.kubeflow.births import give_birth
from nodewise.recorder.kubeflow.known import Birth
from tests.support.recording import World, report


@pytest.mark.parametrize(("most", "named"), [(8, True), (7, False)])
def test_they_name_what_they_waited_for_as_long_as_there_is_room(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, most: int, named: bool
) -> None:
    """Each of the three, and the one on record, names a task of two letters."""
    monkeypatch.setattr(births, "MOST_UPSTREAM", most)
    world = World(engine)
    world.hear(node="n1")
    run_id = world.submit({"aa": [], "bb": ["aa"]})
    world.hear(report(world.place(run_id, "aa"), "SUCCEEDED"))
    world.place(run_id, "bb")
    new = [Birth(path=TaskPath(f"bb[{number}]"), like=TaskPath("bb")) for number in range(3)]
    with transaction(engine) as connection:
        give_birth(connection, run_id, new, now=world.clock.now)
    rows = world.all("SELECT upstream FROM tasks WHERE path LIKE 'bb[%'")
    assert rows == [(["aa"] if named else [],)] * 3
