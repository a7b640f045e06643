"""History through another choice: three ways side by side."""

import io
from typing import Any

import pytest
from rich.console import Console

from nodewise.core.errors import UnknownName
from nodewise.simulator.replay import Figures, replay, savings
from nodewise.simulator.replay_page import ESTIMATED, print_replay, replay_document
from nodewise.simulator.simulation import Choice
from tests.support.scenarios import a_node, a_pipeline, a_problem, a_task

LONG = a_pipeline(a_task("a", {"n1": 8, "n2": 8}), name="long")
SHORT = a_pipeline(a_task("a", {"n1": 2, "n2": 9}), name="short")
HAPPENED = [
    {"pipeline": "long", "task": "a", "node": "n1", "ready": 0, "start": 1, "end": 9},
    {"pipeline": "short", "task": "a", "node": "n1", "ready": 0, "start": 10, "end": 12},
]
BY_FIFO = [{"policy": "fifo", "strategy": "round_robin", "runs": 2}]
ASKED = Choice(policy="balanced", strategy="portfolio")


def a_history(choices: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    recorded = {"choices": choices or BY_FIFO, "schedule": HAPPENED}
    return a_problem([a_node("n1"), a_node("n2")], LONG, SHORT, recorded=recorded)


def page(history: dict[str, Any], choice: Choice = ASKED) -> str:
    text = io.StringIO()
    print_replay(replay(history, choice), Console(file=text, width=160))
    return text.getvalue()


def test_what_happened_stands_beside_what_would_have_been() -> None:
    found = replay(a_history(), ASKED)
    assert found.recorded.figures == Figures(makespan=12, mean_flow=10.5, mean_wait=5.5)
    assert found.resimulated is not None
    assert found.resimulated.figures == Figures(makespan=9, mean_flow=8.5, mean_wait=0)
    assert found.asked.figures == Figures(makespan=8, mean_flow=5, mean_wait=0)
    assert (found.runs, found.tasks, found.asked.moved) == (2, 2, 1)


def test_the_saving_is_a_share_of_what_it_was() -> None:
    document = replay_document(replay(a_history(), ASKED))
    assert document["saving"]["recorded"]["makespan"] == pytest.approx(1 / 3)
    assert document["saving"]["resimulated"]["mean_wait"] is None
    assert document["asked"] == {
        "policy": "balanced", "strategy": "portfolio", "moved_tasks": 1, "makespan": 8, "mean_flow": 5, "mean_wait": 0
    }  # fmt: skip


def test_what_got_worse_is_a_negative_saving() -> None:
    good, bad = (Figures(makespan=value, mean_flow=1, mean_wait=1) for value in (10, 15))
    assert savings(good, bad)["makespan"] == -0.5


def test_the_page_says_what_is_estimated() -> None:
    shown = page(a_history())
    for part in (
        "recorded",
        "fifo/round_robin, simulated",
        "balanced/portfolio, simulated",
        "+33.3 %",
        ESTIMATED,
    ):
        assert part in shown
    assert "moves 1 of 2 tasks" in shown


def test_of_several_choices_the_most_frequent_stands_for_all() -> None:
    others = [
        {"policy": "fifo", "strategy": "greedy", "runs": 2},
        {"policy": "random", "strategy": "random", "runs": 1},
    ]
    assert "decided in 2 ways; simulated is the one of most runs, fifo/greedy" in page(a_history(others))


def test_a_recorded_choice_that_is_not_installed_here_is_left_out() -> None:
    history = a_history([{"policy": "gone", "strategy": "greedy", "runs": 2}])
    assert replay_document(replay(history, ASKED))["resimulated"] is None
    assert "gone/greedy cannot be simulated: no policy named 'gone'" in page(history)


def test_the_asked_choice_must_be_there() -> None:
    with pytest.raises(UnknownName, match="nope"):
        replay(a_history(), Choice(policy="nope", strategy="greedy"))
