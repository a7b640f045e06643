"""A run's events as server-sent events."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from nodewise.api.views import event_view
from nodewise.core.lifecycle import FINAL_RUN_STATES, RunState

POLL_SECONDS = 0.3
KEEP_ALIVE_SECONDS = 10.0
MOST_STREAMS = 50
"""Of one API key at a time, in one gateway."""
_SETTLE_SECONDS = 15.0
"""Ids are given out before the commit, so a lower one may appear after a higher one: that late we still look."""

_log = structlog.get_logger()
Row = Mapping[Any, Any]
Fetch = Callable[[int, Collection[int]], Awaitable[Sequence[Row]]]
"""Events with an id above the first argument that are not in the second."""


@dataclass(slots=True)
class Window:
    """Which events were sent: all up to `floor`, and the `recent` ones above it (id -> when)."""

    floor: int
    recent: dict[int, float] = field(default_factory=dict)

    def sent(self, event_id: int, now: float) -> None:
        self.recent[event_id] = now

    def settle(self, now: float) -> None:
        """Forget the recent ones that are old enough: no lower id can appear any more."""
        old = [event_id for event_id, at in self.recent.items() if now - at > _SETTLE_SECONDS]
        self.floor = max([self.floor, *old])
        self.recent = {event_id: at for event_id, at in self.recent.items() if event_id > self.floor}


class Streams:
    """How many streams each caller has open: each asks the database again and again. Used in the event loop only."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self.most = most
        self._open: Counter[str] = Counter()

    def has_room(self, who: str) -> bool:
        return self._open[who] < self.most

    async def counted(self, who: str, stream: AsyncIterator[str]) -> AsyncIterator[str]:
        """The stream, counted from its beginning to its end."""
        self._open[who] += 1
        try:
            async for part in stream:
                yield part
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]


def is_final(row: Row) -> bool:
    """Whether nothing follows this event."""
    return row["path"] is None and row["to_state"] in {state.value for state in FINAL_RUN_STATES}


def encode_event(row: Row) -> str:
    """One event in the text/event-stream format."""
    kind = "run" if row["path"] is None else "task"
    data = json.dumps(event_view(row), separators=(",", ":"))
    return f"id: {row['id']}\nevent: {kind}\ndata: {data}\n\n"


async def event_stream(
    fetch: Fetch, *, after_id: int, ended: RunState | None, stopping: Callable[[], bool]
) -> AsyncIterator[str]:
    """All events after `after_id` as they happen, until the run's last one.

    Args:
        fetch: reads events; may raise when the database is away, then it is asked again.
        after_id: the last event that the client has.
        ended: the state of the run, if it had ended before; then the stream ends even if the client has all.
        stopping: whether this process is about to end.
    """
    window = Window(floor=after_id)
    silent_since = anyio.current_time()
    while not stopping():
        rows = await _fetched(fetch, window)
        for row in rows or ():
            window.sent(row["id"], anyio.current_time())
            silent_since = anyio.current_time()
            yield encode_event(row)
            if is_final(row):
                return
        if ended and rows is not None and not rows:
            return
        if anyio.current_time() - silent_since >= KEEP_ALIVE_SECONDS:
            silent_since = anyio.current_time()
            yield ": keep-alive\n\n"
        await _pause(window, bool(rows))


async def _fetched(fetch: Fetch, window: Window) -> Sequence[Row] | None:
    try:
        return await fetch(window.floor, window.recent)
    except (OperationalError, InterfaceError) as error:
        _log.warning("events not read; trying again", error=str(error).split("\n", maxsplit=1)[0])
        return None


async def _pause(window: Window, busy: bool) -> None:
    window.settle(anyio.current_time())
    await anyio.sleep(0 if busy else POLL_SECONDS)
