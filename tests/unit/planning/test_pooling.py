"""Beliefs about single tasks that are made to agree with what their class says."""

from math import exp
from random import Random
from statistics import mean

import pytest

from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.model.ids import NodeName
from nodewise.planning.pooling import Guesses, agreed, heard


def guess(*seconds: float, width: float = 2.0) -> Guesses:
    """Medians on n0, n1, ...; 80 % lie between 1 / width and width times that."""
    return {
        NodeName(f"n{j}"): Prediction(
            median_seconds=s, low=s / width, high=s * width, level=0.8, basis=Basis.LEARNED, samples=1
        )
        for j, s in enumerate(seconds)
    }


def medians(guesses: Guesses) -> list[float]:
    return [found.median_seconds for found in guesses.values()]


def test_beliefs_that_agree_stay_as_they_are() -> None:
    every = [guess(10, 20), guess(1, 2), guess(7, 14)]
    said = heard({}, [("train", one) for one in every])
    assert [agreed(said, "train", one) for one in every] == every


def test_a_guess_that_says_otherwise_is_moved_towards_the_others_and_keeps_its_size() -> None:
    odd = guess(10, 10)
    said = heard({}, [("train", guess(10, 40))] * 9 + [("train", odd)])
    fast, slow = medians(agreed(said, "train", odd))
    assert slow / fast == pytest.approx(4**0.9, rel=0.1)
    assert fast * slow == pytest.approx(100)


def test_a_sure_guess_listens_to_nobody() -> None:
    odd = guess(10, 10, width=1.0)
    said = heard({}, [("train", guess(10, 40))] * 9 + [("train", odd)])
    assert agreed(said, "train", odd) is odd


def test_other_classes_and_unknown_ones_change_nothing() -> None:
    odd = guess(10, 10)
    said = heard({}, [("train", guess(10, 40))] * 9)
    assert agreed(said, "other", odd) is odd


def test_the_interval_moves_with_the_median() -> None:
    said = heard({}, [("train", guess(10, 40))] * 9 + [("train", guess(10, 10))])
    for found in agreed(said, "train", guess(10, 10)).values():
        assert found.low < found.median_seconds < found.high
        assert found.high / found.median_seconds == pytest.approx(2)


def test_guesses_of_nothing_are_left_alone() -> None:
    odd = guess(0, 10)
    assert agreed(heard({}, [("train", odd)] * 3), "train", odd) is odd


def test_noise_is_mostly_gone_when_many_speak() -> None:
    rng = Random(0)
    truth = [10.0, 20.0, 5.0]
    noisy = [guess(*(s * exp(rng.gauss(0, 0.4)) for s in truth), width=1.7) for _ in range(50)]
    said = heard({}, [("train", one) for one in noisy])

    def error(of: list[Guesses]) -> float:
        return mean(abs(m[1] / m[2] - 4) for m in map(medians, of))

    assert error([agreed(said, "train", one) for one in noisy]) < error(noisy) / 3


def test_tasks_that_have_nothing_in_common_keep_their_own_word() -> None:
    rng = Random(0)
    truths = [[exp(rng.gauss(0, 1.0)) for _ in range(6)] for _ in range(50)]
    noisy = [guess(*(s * exp(rng.gauss(0, 0.2)) for s in truth), width=1.3) for truth in truths]
    said = heard({}, [("other", one) for one in noisy])
    for one in noisy:
        moved = zip(medians(agreed(said, "other", one)), medians(one), strict=True)
        assert all(0.75 < after / before < 1.33 for after, before in moved)
