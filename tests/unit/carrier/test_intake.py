"""What a carrier takes from the queues of its nodes."""

from collections.abc import Iterator
from queue import Queue

import pytest
from celery import Celery

from nodewise.agent.reception import Reception
from nodewise.carrier.events import Told
from nodewise.carrier.intake import Intake
from nodewise.core.messages import FORGET_JOBS, ForgetJobs
from nodewise.core.messaging.app import agent_queue, create_app
from nodewise.core.model.ids import NodeName
from nodewise.core.sealing import open_unchecked
from nodewise.core.settings import Settings

NODE = NodeName("n1")


@pytest.fixture
def app() -> Iterator[Celery]:
    """On a broker in this process."""
    app = create_app("test", Settings(redis_url="memory://"))
    yield app
    app.close()


def test_a_message_that_cannot_be_read_does_not_keep_the_next_from_coming(app: Celery) -> None:
    told = Queue[Told]()
    intake = Intake(app, told.put, Reception(open_unchecked))
    intake.listen(frozenset({NODE}))
    intake.start()
    try:
        asked = ForgetJobs(keys=()).model_dump(mode="json")
        app.send_task(FORGET_JOBS, args=[asked], queue=agent_queue(NODE), compression="bzip2")
        app.send_task(FORGET_JOBS, args=[asked], queue=agent_queue(NODE))
        assert told.get(timeout=10).node == NODE
        assert told.empty()
    finally:
        intake.stop()
