"""The cycle collector rests during a look, and only then."""

import gc
import weakref

import pytest

from nodewise.scheduler.collecting import uncollected


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_meanwhile_and_all_of_it_afterwards() -> None:
    gc.collect()
    with uncollected():
        knots = [weakref.ref(Knot()) for _ in range(10_000)]
        assert all(knot() is not None for knot in knots)
    # The collector comes round by itself: new objects, no call of it.
    rest = [[n] for n in range(1000)]
    assert not any(knot() for knot in knots)
    assert len(rest) == 1000


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), uncollected():
        raise ValueError("broken")
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
