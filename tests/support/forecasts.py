"""Beliefs about run times that a test names itself."""

from collections.abc import Callable

from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.model.node import Node
from nodewise.core.model.task import TaskFacts
from nodewise.core.ports import Predict


def a_prediction(seconds: float, *, high: float | None = None) -> Prediction:
    """About `seconds`; `high` is the upper end of the interval (the same, where none is given)."""
    return Prediction(
        median_seconds=seconds,
        low=seconds,
        high=seconds if high is None else high,
        level=0.8,
        basis=Basis.LEARNED,
        samples=9,
    )


def exactly(seconds: Callable[[TaskFacts, Node], float]) -> Predict:
    """Every run takes just these seconds."""

    def predict(task: TaskFacts, node: Node, /) -> Prediction:
        return a_prediction(seconds(task, node))

    return predict
