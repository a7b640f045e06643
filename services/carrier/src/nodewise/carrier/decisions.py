"""What is to be done about an attempt, from how it stands and what was seen of it. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from nodewise.carrier import names
from nodewise.carrier.sightings import Sighting, Step, Trouble
from nodewise.core.messages import JobRef
from nodewise.core.model.ids import AttemptKey, NodeName


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One that this carrier knows of. `there`: its Job was made, or seen."""

    ref: JobRef
    node: NodeName
    name: str
    there: bool = False
    stopping: bool = False
    limited: bool = False
    memory_mib: int | None = None
    timeout_seconds: float | None = None

    @property
    def key(self) -> AttemptKey:
        return self.ref.key


class Verdict(StrEnum):
    GOES_ON = auto()
    ENDED = auto()
    """It is over, or there is nothing of it any more."""
    GIVEN_UP = auto()
    """It is ended here and now, and what is left of it has to be removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`started_at` is when the task's own container began; `limit_seconds` what its Job is to be held to from now on."""

    verdict: Verdict = Verdict.GOES_ON
    seen: Sighting
    started_at: datetime | None = None
    limit_seconds: int | None = None


def decide(attempt: Attempt, seen: Sighting, node_trouble: Trouble | None) -> Decision:
    """What becomes of an attempt whose Job was made. `node_trouble` says that its node is lost."""
    started = seen.work.started_at if seen.work else None
    if not seen.there or (seen.over and not attempt.stopping):
        return Decision(verdict=Verdict.ENDED, seen=seen, started_at=started)
    trouble = node_trouble or (None if attempt.stopping else seen.trouble)
    if trouble is not None and (node_trouble or not trouble.final):
        # A pod that its node does not answer for any more stays on record for as long as that lasts.
        troubled = Sighting(there=seen.there, pod=seen.pod, steps=seen.steps, trouble=trouble)
        return Decision(verdict=Verdict.GIVEN_UP, seen=troubled, started_at=started)
    return Decision(seen=seen, started_at=started, limit_seconds=_limit(attempt, seen))


def _limit(attempt: Attempt, seen: Sighting) -> int | None:
    """The seconds since its Job began after which the container of a component has had its time; None: nothing to change."""
    step: Step | None = seen.steps.get(names.TASK_STEP)
    if attempt.limited or attempt.timeout_seconds is None or step is None:
        return None
    if step.started_at is None or seen.job_started_at is None:
        return None
    spent = (step.started_at - seen.job_started_at).total_seconds()
    return max(1, math.ceil(spent + attempt.timeout_seconds))
