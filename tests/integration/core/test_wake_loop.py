import threading
from datetime import timedelta

import redis
from sqlalchemy.exc import OperationalError

from nodewise.core.messages import WAKE_PLACER, WAKE_SCHEDULER
from nodewise.core.messaging.app import create_app
from nodewise.core.messaging.loop import WakeLoop, accept_wake
from nodewise.core.messaging.wake import Waker, flag
from nodewise.core.settings import Settings
from tests.support.waiting import wait_until

NEVER = timedelta(hours=1)
SOON = timedelta(milliseconds=20)


class Cycle:
    """Counts its looks; can be told to fail or to have more to do."""

    def __init__(self) -> None:
        self.looks = 0
        self.more = 0
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> bool:
        self.gate.wait(5)
        self.looks += 1
        if self.failures:
            raise self.failures.pop()
        self.more -= 1
        return self.more >= 0


def test_it_looks_once_at_the_start_and_again_when_woken() -> None:
    cycle = Cycle()
    loop = WakeLoop("test", cycle, NEVER)
    loop.start()
    wait_until(lambda: cycle.looks == 1, 5, "the first look")
    loop.wake()
    wait_until(lambda: cycle.looks == 2, 5, "the look after the wake-up")
    loop.stop()


def test_it_looks_at_every_tick_without_any_message() -> None:
    cycle = Cycle()
    loop = WakeLoop("test", cycle, SOON)
    loop.start()
    wait_until(lambda: cycle.looks >= 3, 5, "three looks")
    loop.stop()


def test_many_wake_ups_during_a_look_make_one_more() -> None:
    cycle = Cycle()
    cycle.gate.clear()
    loop = WakeLoop("test", cycle, NEVER)
    loop.start()
    for _ in range(100):
        loop.wake()
    cycle.gate.set()
    wait_until(lambda: cycle.looks >= 2, 5, "the second look")
    loop.stop()
    assert cycle.looks <= 3


def test_it_goes_on_while_there_is_more_to_do() -> None:
    cycle = Cycle()
    cycle.more = 5
    loop = WakeLoop("test", cycle, NEVER)
    loop.start()
    wait_until(lambda: cycle.looks == 6, 5, "six looks")
    loop.stop()


def test_an_error_does_not_end_it() -> None:
    cycle = Cycle()
    cycle.failures = [OperationalError("SELECT 1", {}, OSError("gone")), ValueError("a bug")]
    loop = WakeLoop("test", cycle, SOON)
    loop.start()
    wait_until(lambda: cycle.looks >= 4, 5, "looks after two errors")
    loop.stop()


def test_wake_ups_are_coalesced_until_they_are_read(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    waker = Waker(create_app("test", Settings(redis_url=redis_url)), client)
    for _ in range(10):
        waker.wake(WAKE_SCHEDULER)
    waker.wake(WAKE_PLACER)
    assert (client.llen("scheduler"), client.llen("placer")) == (1, 1)
    loop = WakeLoop("test", Cycle(), NEVER)
    accept_wake(loop, client, WAKE_SCHEDULER)
    assert not client.exists(flag(WAKE_SCHEDULER))
    waker.wake(WAKE_SCHEDULER)
    assert client.llen("scheduler") == 2
    client.close()


def test_a_broker_that_is_away_fails_nobody() -> None:
    nowhere = Settings(redis_url="redis://127.0.0.1:1/0")
    client = redis.Redis.from_url(nowhere.redis_url, socket_connect_timeout=0.2)
    Waker(create_app("test", nowhere), client).wake(WAKE_SCHEDULER)
    accept_wake(WakeLoop("test", Cycle(), NEVER), client, WAKE_SCHEDULER)
    client.close()
