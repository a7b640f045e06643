"""Submissions that come at the same time are written together: one statement, one commit and one wake-up for all of them.

Group commit, as databases do it for their logs (DeWitt et al., 1984): whoever comes while another writes waits for that to end, and
what has gathered until then is written next, at once. A submission that comes alone waits for nobody. Nobody is answered before the
commit. Cost of n at a time: one round trip and one flush of the disk, instead of n.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from sqlalchemy import Engine, RowMapping
from sqlalchemy.exc import DataError, IntegrityError

from nodewise.api.acceptance import to_wake
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.submissions import EncodedRun, NewRun, encoded, insert_runs
from nodewise.core.messaging.wake import Waker

_MOST_AT_ONCE: Final = 64
_LARGEST_AT_ONCE: Final = 8 * 1024 * 1024
"""Characters, beyond the first submission: large ones are written one by one, so that together they cannot be too large."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A submission whose sender waits. `row` stays None where its key stands for another run."""

    content: EncodedRun
    row: RowMapping | None = None
    error: Exception | None = None
    done: bool = False


class Intake:
    """Writes submissions of all threads of a process."""

    def __init__(self, engine: Engine, waker: Waker) -> None:
        self._engine = engine
        self._waker = waker
        self._gathering = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[_Waiting] = []

    def write(self, run: NewRun) -> RowMapping | None:
        """Write a submission, and wake who has to look at it next. Returns after the commit.

        Returns:
            The run as it stands in the table; None where its idempotency key stands for another run, and nothing was written.

        Raises:
            SQLAlchemyError: The database refused it, or could not be reached.
        """
        mine = _Waiting(encoded(run))
        with self._gathering:
            self._waiting.append(mine)
        with self._writing:
            # Written by whoever wrote before us, most of the time.
            while not mine.done:
                self._write(self._gathered())
        if mine.error is not None:
            raise mine.error
        return mine.row

    def _gathered(self) -> list[_Waiting]:
        with self._gathering:
            count = _how_many([one.content.size for one in self._waiting[:_MOST_AT_ONCE]])
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            with transaction(self._engine) as connection:
                rows = insert_runs(connection, [one.content for one in batch])
        except (IntegrityError, DataError) as error:
            self._apart(batch, error)
        except Exception as error:
            for one in batch:
                one.error, one.done = error, True
        else:
            for one in batch:
                one.row, one.done = rows.get(one.content.run.id), True
            self._wake(batch)

    def _apart(self, batch: list[_Waiting], error: Exception) -> None:
        """One of them is to blame: the others must not fail with it."""
        if len(batch) == 1:
            batch[0].error, batch[0].done = error, True
            return
        for one in batch:
            self._write([one])

    def _wake(self, batch: list[_Waiting]) -> None:
        for message in sorted({to_wake(one.content.run) for one in batch if one.row is not None}):
            self._waker.wake(message)


def _how_many(sizes: Sequence[int]) -> int:
    """How many of the first may be written together: one at least, and no more than fit."""
    totals = accumulate(sizes)
    return max(1, sum(total <= _LARGEST_AT_ONCE for total in totals)) if sizes else 0
