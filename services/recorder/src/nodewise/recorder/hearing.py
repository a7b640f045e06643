"""Whether silence means anything: an agent that we could not have heard is not lost."""

import threading
from datetime import datetime, timedelta
from typing import Final

_DEAF_LEASES: Final = 3
"""After trouble, silence of all agents is believed only after so many leases: more likely it is we who are deaf."""


class Hearing:
    """Says when ended leases may be believed.

    Not for one lease after the recorder's own start, after a gap between its looks (it slept, or its database did),
    and after the broker was away: until then no agent had a fair chance to be heard. Safe to use from two threads.
    """

    def __init__(self, *, lease: timedelta, longest_gap: timedelta, now: datetime) -> None:
        self._lease = lease
        self._longest_gap = longest_gap
        self._lock = threading.Lock()
        self._trouble_at = now
        self._looked_at = now
        self._heard_at: datetime | None = None

    def heard(self, now: datetime) -> None:
        """Some agent was heard."""
        with self._lock:
            self._heard_at = now

    def believes(self, now: datetime, *, listening: bool) -> bool:
        """Look now: whether silence may be believed. `listening`: whether the broker answers."""
        with self._lock:
            if not listening or now - self._looked_at > self._longest_gap:
                self._trouble_at = now
            self._looked_at = now
            quiet = now - self._trouble_at
            if quiet < self._lease:
                return False
            heard_since = self._heard_at is not None and self._heard_at > self._trouble_at
            return heard_since or quiet >= _DEAF_LEASES * self._lease
