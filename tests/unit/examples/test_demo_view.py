from types import SimpleNamespace
from typing import Any, cast

import pytest

from examples.demo_view import print_accuracies
from nodewise.sdk.client import Run


def a_run(name: str, score: float | None) -> Run:
    outputs: dict[str, Any] = {} if score is None else {"Output": score}
    return cast("Run", SimpleNamespace(id=name, name=name, state="SUCCEEDED", outputs=lambda _: outputs))


def test_the_score_of_a_regression_is_marked_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    print_accuracies(
        [a_run("wine-linear-regression", 0.734), a_run("wine-decision-tree", 0.9), a_run("x", None)]
    )
    lines = capsys.readouterr().out.splitlines()
    assert "score" in next(line for line in lines if line.startswith("pipeline"))
    assert next(line for line in lines if line.startswith("wine-linear-regression")).endswith("73.4% *")
    assert next(line for line in lines if line.startswith("wine-decision-tree")).endswith("90.0%")
    assert lines[-1].startswith("* a linear regression: right where its prediction rounds")


def test_nothing_is_said_of_regressions_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_accuracies([a_run("adult-logistic-regression", 0.9)])
    assert "*" not in capsys.readouterr().out
