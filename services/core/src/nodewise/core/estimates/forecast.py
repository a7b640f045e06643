"""From what was learned to what a decision asks: how long will this take there, and when does that end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from nodewise.core.estimates.learning import Beliefs, Model, NodeFacts, Prediction, Query, fit
from nodewise.core.model.node import Node
from nodewise.core.model.task import TaskFacts

_OVERDUE_SHARE: Final = 0.25
"""What has run past its interval is believed to need this share of the time that it has taken so far."""

_UNKNOWN: Final = timedelta(seconds=1)
"""For attempts of which nothing was ever believed."""


def query(task: TaskFacts, node: Node) -> Query:
    """The question that the model is asked of a task on a node."""
    return Query(
        task_class=task.task_class,
        node_class=node.node_class,
        effort_flops=task.effort_flops,
        input_bytes=task.input_bytes,
        node=NodeFacts(cores=node.capacity.millicores / 1000, accelerator=node.accelerator),
    )


def predictor(model: Model) -> Callable[[TaskFacts, Node], Prediction]:
    """A `ports.Predict` of a fitted model. Remembers its answers, so asking again costs a look-up.

    Keep it as long as the model, and no longer.
    """
    known: dict[object, Prediction] = {}

    def predict(task: TaskFacts, node: Node, /) -> Prediction:
        # All that a query is made of; to make one takes far longer than to look it up.
        asked = (
            task.task_class,
            node.node_class,
            task.effort_flops,
            task.input_bytes,
            node.capacity.millicores,
            node.accelerator,
        )
        found = known.get(asked)
        if found is None:
            found = known[asked] = model.predict(query(task, node))
        return found

    return predict


@cache
def _prior() -> Model:
    return fit(Beliefs())


def unlearned(task: TaskFacts, node: Node, /) -> Prediction:
    """What is believed before anything ran: effort and node facts only."""
    return _prior().predict(query(task, node))


def expected_end(
    prediction: Prediction | None, *, started_at: datetime | None, placed_at: datetime, now: datetime
) -> datetime:
    """When a live attempt ends, by what was believed of it and by how long it has run already; never before `now`.

    Up to its median it is believed; up to the upper end of its interval, it ends half-way there; then the longer it has
    run, the longer it is expected to go on, as of everything whose run times have a heavy tail.
    """
    began = started_at or max(placed_at, now)
    if prediction is None:
        return max(now, began + _UNKNOWN)
    median = began + timedelta(seconds=prediction.median_seconds)
    if median > now:
        return median
    high = began + timedelta(seconds=prediction.high)
    if high > now:
        return now + (high - now) / 2
    return now + (now - began) * _OVERDUE_SHARE
