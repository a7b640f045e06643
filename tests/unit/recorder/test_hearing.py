"""When silence may be believed."""

from datetime import datetime, timedelta

from nodewise.recorder.hearing import Hearing
from tests.support.rows import NOW

LEASE = timedelta(seconds=10)


def hearing() -> Hearing:
    return Hearing(lease=LEASE, longest_gap=timedelta(seconds=5), now=NOW)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def looks(ear: Hearing, first: int, last: int, *, listening: bool = True) -> list[bool]:
    return [ear.believes(at(second), listening=listening) for second in range(first, last + 1)]


def test_the_first_lease_after_the_start_is_grace() -> None:
    ear = hearing()
    ear.heard(at(1))
    assert looks(ear, 1, 9) == [False] * 9
    assert ear.believes(at(10), listening=True)


def test_a_gap_between_looks_starts_a_new_grace() -> None:
    ear = hearing()
    ear.heard(at(1))
    assert looks(ear, 1, 12)[-1]
    assert not ear.believes(at(18), listening=True)
    ear.heard(at(19))
    assert looks(ear, 19, 28)[-1]


def test_nothing_is_believed_while_the_broker_is_away() -> None:
    ear = hearing()
    ear.heard(at(1))
    assert not any(looks(ear, 1, 100, listening=False))


def test_when_nobody_is_heard_the_grace_is_longer_but_ends() -> None:
    ear = hearing()
    seen = looks(ear, 1, 30)
    assert not any(seen[:-1])
    assert seen[-1]
