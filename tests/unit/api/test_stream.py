"""Which events a stream still looks for."""

from nodewise.api.stream import Window


def test_recent_events_are_remembered_and_old_ones_raise_the_floor() -> None:
    window = Window(floor=5)
    window.sent(9, 0.0)
    window.sent(7, 14.0)
    window.settle(14.0)
    assert (window.floor, set(window.recent)) == (5, {9, 7})
    window.settle(15.1)
    assert (window.floor, set(window.recent)) == (9, set())


def test_the_floor_never_sinks() -> None:
    window = Window(floor=20)
    window.sent(3, 0.0)
    window.settle(100.0)
    assert window.floor == 20
