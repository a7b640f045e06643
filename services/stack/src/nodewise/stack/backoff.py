"""How long to wait before a process that died is started again. Pure."""

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0
HEALTHY_SECONDS = 30.0


def failures_after(failures: int, ran_seconds: float) -> int:
    """Deaths in a row, counting the one of a process that ran so long: a healthy life starts the count anew."""
    return 1 if ran_seconds >= HEALTHY_SECONDS else failures + 1


def delay_seconds(failures: int) -> float:
    """Pause after so many deaths in a row: 0.2 s, doubled each time, 10 s at most."""
    # Bounded before it is raised: 2**failures of a process that never starts grows without limit.
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
