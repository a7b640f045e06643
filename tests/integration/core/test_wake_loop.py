import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import redis
from sqlalchemy.exc import OperationalError

from nodewise.core.messages import WAKE_PLACER, WAKE_SCHEDULER
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.messaging.wake import Listener, Waker
from nodewise.core.settings import Settings
from nodewise.stack.health import RedisProbe
from tests.support.servers import running, valkey_in
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


class Heard:
    """Counts what a listener hands over."""

    def __init__(self) -> None:
        self.times = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.times += 1


@contextmanager
def listening(settings: Settings, message: str, heard: Heard) -> Iterator[Listener]:
    listener = Listener(settings, message, heard)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()


def waits(client: "redis.Redis", message: str) -> bool:
    return any((item["name"], item["cmd"]) == (message, "blpop") for item in client.client_list())


def test_wake_ups_that_nobody_has_read_yet_are_one(redis_url: str) -> None:
    client, heard = redis.Redis.from_url(redis_url), Heard()
    waker = Waker(client)
    for _ in range(10):
        waker.wake(WAKE_SCHEDULER)
    waker.wake(WAKE_PLACER)
    assert (client.llen(WAKE_SCHEDULER), client.llen(WAKE_PLACER)) == (1, 1)
    with listening(Settings(redis_url=redis_url), WAKE_SCHEDULER, heard):
        wait_until(lambda: heard.times == 1, 5, "the wake-up that waited")
        waker.wake(WAKE_SCHEDULER)
        wait_until(lambda: heard.times == 2, 5, "the next one")
    assert (client.llen(WAKE_SCHEDULER), client.llen(WAKE_PLACER)) == (0, 1)
    client.close()


def test_each_wake_up_reaches_one_of_several_listeners(redis_url: str) -> None:
    client, first, second = redis.Redis.from_url(redis_url), Heard(), Heard()
    settings = Settings(redis_url=redis_url)
    with listening(settings, WAKE_PLACER, first), listening(settings, WAKE_PLACER, second):
        for sent in range(1, 21):
            Waker(client).wake(WAKE_PLACER)
            wait_until(lambda sent=sent: first.times + second.times == sent, 5, f"wake-up {sent}")
    assert first.times > 0
    assert second.times > 0
    client.close()


def test_a_listener_that_is_stopped_ends_at_once_and_takes_nothing_more(redis_url: str) -> None:
    client, heard = redis.Redis.from_url(redis_url), Heard()
    with listening(Settings(redis_url=redis_url), WAKE_PLACER, heard) as listener:
        wait_until(lambda: waits(client, WAKE_PLACER), 5, "the listener to wait")
        listener.stop()
        assert not any(thread.name == f"listens-{WAKE_PLACER}" for thread in threading.enumerate())
        Waker(client).wake(WAKE_PLACER)
        assert client.llen(WAKE_PLACER) == 1
    assert heard.times == 0
    client.close()


def test_a_listener_outlives_its_server(tmp_path: Path) -> None:
    with valkey_in(tmp_path / "valkey") as server:
        program, probe, heard = server.program(), RedisProbe(server.url()), Heard()
        with listening(Settings(redis_url=server.url()), WAKE_PLACER, heard):
            wake_when_it_waits(server.url())
            wait_until(lambda: heard.times == 1, 5, "the first wake-up")
            with redis.Redis.from_url(server.url()) as client, suppress(redis.ConnectionError):
                client.shutdown(nosave=True)
            with running(program, probe):
                wake_when_it_waits(server.url())
                wait_until(lambda: heard.times == 2, 5, "the wake-up from its second life")


def wake_when_it_waits(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        wait_until(lambda: waits(client, WAKE_PLACER), 10, "the listener to wait")
        Waker(client).wake(WAKE_PLACER)


def test_a_broker_that_is_away_fails_nobody() -> None:
    nowhere = Settings(redis_url="redis://127.0.0.1:1/0")
    client = redis.Redis.from_url(nowhere.redis_url, socket_connect_timeout=0.2)
    Waker(client).wake(WAKE_SCHEDULER)
    with listening(nowhere, WAKE_SCHEDULER, Heard()):
        pass
    client.close()
