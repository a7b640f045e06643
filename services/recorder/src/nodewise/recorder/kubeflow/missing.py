"""How often and for how long KFP has said that it does not have a run. Pure but for its memory."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

ANSWERS: Final = 3
"""So many answers in a row, besides the time that has to pass: one may come from a server that is just starting."""


class Missing:
    """Counts answers in a row. An answer that knows the run, or its end, forgets it."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[datetime, int]] = {}

    def told(self, unknown: Collection[str], *, now: datetime) -> None:
        """KFP answered just now that it has none of these."""
        self._since = {
            run_id: (since, count + 1)
            for run_id in unknown
            for since, count in [self._since.get(run_id, (now, 0))]
        }

    def beyond(self, patience: timedelta, *, now: datetime) -> set[str]:
        """Those that were missing often enough, for long enough."""
        return {
            run_id
            for run_id, (since, count) in self._since.items()
            if count >= ANSWERS and now - since >= patience
        }
