"""The independent check of schedules, under the name that tests use."""

from nodewise.core.model.problem import Problem, Schedule
from nodewise.core.model.validation import TOLERANCE_S, violations

__all__ = ["TOLERANCE_S", "assert_valid", "violations"]


def assert_valid(problem: Problem, schedule: Schedule) -> None:
    """Fail with every violation, each on a line of its own."""
    found = violations(problem, schedule)
    assert not found, "\n".join(found)
