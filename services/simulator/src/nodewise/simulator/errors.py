"""What a simulation refuses, each in one line."""

from nodewise.core.errors import NodewiseError


class InvalidProblem(NodewiseError):
    """A problem file that breaks a rule. `place` is the path in the file, such as `pipelines[2].tasks[0].seconds`."""

    def __init__(self, place: str, rule: str) -> None:
        self.place = place
        self.rule = rule
        super().__init__(f"{place}: {rule}")


class Stalled(NodewiseError):
    """Tasks remain, nothing runs and nothing is to come: who decides will not place them."""

    def __init__(self, waiting: int, first: str, because: str) -> None:
        self.waiting = waiting
        self.first = first
        self.because = because
        super().__init__(f"{waiting} tasks never start, the first is {first}: {because}")


class DecisionFailed(NodewiseError):
    """A policy or planner raised, or answered what it may not."""
