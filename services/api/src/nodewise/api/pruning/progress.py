"""How far retention has come, as text that a client hands back unread."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from nodewise.api.problems import invalid
from nodewise.core.store import SHARDS


class Step(StrEnum):
    """In this order. Rows go before the content that they name, so that no row is ever without its content."""

    RUNS = "runs"
    RESULTS = "results"
    PIPELINES = "pipelines"
    LOGS = "logs"
    TREES = "trees"
    FILES = "files"

    @property
    def following(self) -> "Step | None":
        steps = list(Step)
        return steps[steps.index(self) + 1] if self is not steps[-1] else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What comes next: a step, for what ended before that time; `shard` is the first one of the store to look at."""

    before: datetime
    step: Step = Step.RUNS
    shard: int = 0

    @property
    def cursor(self) -> str:
        raw = json.dumps([self.before.isoformat(timespec="microseconds"), self.step, self.shard])
        return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str, *, latest: datetime) -> Self:
        """The place that a cursor stands for.

        Raises:
            Problem: 422, no answer of ours to this request contained it.
        """
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            before, step, shard = json.loads(raw)
            found = cls(before=_moment(before), step=Step(step), shard=int(shard))
        except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _foreign() from error
        if found.before > latest or not 0 <= found.shard < len(SHARDS):
            raise _foreign()
        return found

    def at(self, shard: int | None) -> "Progress | None":
        """The same step from that shard on; None: the next step, if there is one."""
        if shard is not None:
            return Progress(before=self.before, step=self.step, shard=shard)
        step = self.step.following
        return Progress(before=self.before, step=step) if step else None


def _moment(text: object) -> datetime:
    # A time without its zone fails here.
    return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S.%f%z")


def _foreign() -> Exception:
    return invalid("body.cursor", "must be the next_cursor of an earlier answer to this request")
