"""How long a wake-up takes from one process to another: ours, and as a message that Celery carries, on the same server."""

import multiprocessing
import multiprocessing.connection
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeAlias

import redis
from rich.console import Console
from rich.table import Table

from bench.measure import BenchFailed, save
from nodewise.core.messaging.app import create_app, run_worker
from nodewise.core.messaging.wake import Listener, Waker
from nodewise.core.settings import Settings
from tests.support.servers import valkey_in

TIMES = 200
WARM_UP = 20
_MESSAGE = "bench.wake"
_PATIENCE_SECONDS = 30.0
_Pipe: TypeAlias = "multiprocessing.connection.Connection"


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with valkey_in(folder / "valkey") as server:
            found = {
                "wake-up": _measured(server.url(), _listen, _waker(server.url())),
                "Celery message": _measured(server.url(), _work, _celery(server.url())),
            }
    _show(found)
    figures = {way: {"median_ms": 1e3 * median(seconds)} for way, seconds in found.items()}
    print(f"figures: {save('waking', {'times': TIMES, 'ways': figures}).name}")


def _waker(url: str) -> Callable[[], None]:
    waker = Waker(redis.Redis.from_url(url))
    return lambda: waker.wake(_MESSAGE)


def _celery(url: str) -> Callable[[], None]:
    app = create_app("bench", Settings(redis_url=url))

    def send() -> None:
        app.send_task(_MESSAGE, queue=_MESSAGE)

    return send


def _measured(url: str, receiver: Callable[[str, _Pipe], None], send: Callable[[], None]) -> list[float]:
    """Seconds from before the sending until the receiver, a process of its own, has told that it was woken."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=receiver, args=(url, theirs), daemon=True)
    process.start()
    try:
        return [_once(ours, send) for _ in range(WARM_UP + TIMES)][WARM_UP:]
    finally:
        process.kill()
        process.join()


def _once(told: _Pipe, send: Callable[[], None]) -> float:
    start = time.perf_counter()
    send()
    if not told.poll(_PATIENCE_SECONDS):
        raise BenchFailed(f"nobody was woken in {_PATIENCE_SECONDS:g} s")
    told.recv()
    return time.perf_counter() - start


def _listen(url: str, told: _Pipe) -> None:
    Listener(Settings(redis_url=url), _MESSAGE, lambda: told.send(None)).start()
    threading.Event().wait()


def _work(url: str, told: _Pipe) -> None:
    app = create_app("bench", Settings(redis_url=url))

    @app.task(name=_MESSAGE)
    def woken() -> None:
        told.send(None)

    run_worker(app, _MESSAGE, name="bench")


def _show(found: dict[str, list[float]]) -> None:
    table = Table(title=f"milliseconds from one process to another and back by pipe, of {TIMES}")
    for heading in ("way", "median", "90 of 100"):
        table.add_column(heading)
    for way, seconds in found.items():
        table.add_row(
            way, f"{1e3 * median(seconds):.2f}", f"{1e3 * sorted(seconds)[len(seconds) * 9 // 10]:.2f}"
        )
    Console().print(table)
