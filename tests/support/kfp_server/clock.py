"""A clock that only turns when it is turned."""

from datetime import UTC, datetime, timedelta


class Clock:
    """`wakes` are the instants at which something is due; the server visits each on the way."""

    def __init__(self, now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) -> None:
        self.now = now
        self._wakes: set[datetime] = set()

    def after(self, seconds: float) -> datetime:
        """An instant in the future, noted as one at which something is due."""
        instant = self.now + timedelta(seconds=seconds)
        self._wakes.add(instant)
        return instant

    def next_wake(self, until: datetime) -> datetime | None:
        """The first instant at which something is due, if that is not after `until`."""
        self._wakes = {wake for wake in self._wakes if wake > self.now}
        first = min(self._wakes, default=None)
        return first if first is not None and first <= until else None
