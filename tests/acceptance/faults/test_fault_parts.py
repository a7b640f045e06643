"""The parts of the chaos run can fail where they should: small tests, without a stack."""

import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

import pytest

from nodewise.core.lifecycle import AttemptState
from tests.acceptance.faults.effects import Recorded, Trace, doubled
from tests.acceptance.faults.kinds import Kind, blows
from tests.support.starvation import most_waited, waited_for_cpu
from tests.support.tcp_proxy import TcpProxy

LOST, GOOD = AttemptState.LOST, AttemptState.SUCCEEDED


def trace(path: str, attempt: int, token: str, *before: str) -> Trace:
    return Trace(what="begins", path=path, attempt=attempt, node="n1", token=token, before=before, at=0.0)


RAN = [trace("first", 1, "a"), trace("first", 2, "b"), trace("last", 1, "c", "b")]
ON_RECORD = {
    "first": Recorded(states={1: LOST, 2: GOOD}, token="b"),
    "last": Recorded(states={1: GOOD}, token="c"),
}


def test_a_task_that_was_given_up_may_run_again() -> None:
    assert list(doubled(RAN, ON_RECORD)) == []


@pytest.mark.parametrize(
    ("ran", "on_record", "said"),
    [
        ([*RAN, trace("last", 1, "d", "b")], ON_RECORD, "last#1 ran 2 times"),
        (RAN, ON_RECORD | {"first": Recorded(states={1: GOOD, 2: GOOD}, token="b")}, "made ['a', 'b']"),
        (RAN, ON_RECORD | {"first": Recorded(states={1: LOST, 2: GOOD}, token="a")}, "on record is a"),
        ([*RAN[:2], trace("last", 1, "c", "a")], ON_RECORD, "was given ('a',)"),
        ([*RAN, trace("last", 2, "e", "b")], ON_RECORD, "last#2 ran, and is not on record"),
        (RAN, {"last": ON_RECORD["last"]}, "first ran, and is not on record"),
        (RAN[:2], ON_RECORD, "last: on record is c, and its good attempts made []"),
    ],
)
def test_what_ran_or_counted_too_often_is_found(
    ran: list[Trace], on_record: dict[str, Recorded], said: str
) -> None:
    assert any(said in line for line in doubled(ran, on_record))


def test_a_seed_says_all_that_comes() -> None:
    every = list(Kind)
    assert list(islice(blows(7, every), 60)) == list(islice(blows(7, every), 60))
    assert list(islice(blows(7, every), 60)) != list(islice(blows(8, every), 60))
    first = list(islice(blows(7, every), len(every)))
    assert Counter(blow.faults[0].kind for blow in first) == dict.fromkeys(every, 1)


def test_faults_that_come_together_have_different_victims() -> None:
    together = [blow.faults for blow in islice(blows(7, list(Kind)), 400) if len(blow.faults) > 1]
    assert together
    assert all(one.victim != other.victim for one, other in together)


@contextmanager
def echo() -> Iterator[int]:
    """A server that sends back what it gets; yields its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                while block := connection.recv(100):
                    connection.sendall(block)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def answered(connection: socket.socket) -> bool:
    """Whether what is sent comes back; False when the connection breaks, TimeoutError when nothing comes."""
    connection.settimeout(0.3)
    try:
        connection.sendall(b"x")
        return connection.recv(1) == b"x"
    except (ConnectionError, BrokenPipeError):
        return False


def test_a_cut_breaks_connections_and_a_silence_holds_them() -> None:
    with echo() as port, TcpProxy("127.0.0.1", port) as proxy:

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)

        with connect() as connection:
            assert answered(connection)
            proxy.cut()
            assert not answered(connection)
        with connect() as connection:
            assert not answered(connection)
        proxy.heal()
        with connect() as connection:
            assert answered(connection)
            proxy.silence()
            with pytest.raises(TimeoutError):
                answered(connection)
            with connect() as another, pytest.raises(TimeoutError):
                answered(another)
            proxy.heal()
            connection.settimeout(5)
            assert connection.recv(1) in (b"", b"x"), "it broke, or what was held came"
        with connect() as connection:
            assert answered(connection)


def test_the_longest_wait_is_that_of_one_process_and_new_ones_begin_at_zero() -> None:
    assert most_waited({1: 2.0, 2: 5.0}, {1: 2.5, 2: 5.1, 3: 0.4}) == 0.5
    assert most_waited({}, {}) == 0.0
    assert all(waited >= 0 for waited in waited_for_cpu([os.getpid(), 2**22 + 1]).values())
