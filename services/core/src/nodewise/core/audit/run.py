"""All checks of one run."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nodewise.core.audit.bookings import booked_as_live
from nodewise.core.audit.effects import counted_once
from nodewise.core.audit.finding import Finding
from nodewise.core.audit.inputs import inputs_first
from nodewise.core.audit.lives import known_transitions
from nodewise.core.audit.progress import reaches_an_end
from nodewise.core.audit.record import RunRecord

_CLOCKS: Final = timedelta(seconds=5)
_PATIENCE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is no finding yet.

    `clocks`: by how much the clocks of two machines may differ; the same 5 s as the recorder allows when it looks for
    what stands still. It is needed for one comparison only, that of a start with the ends before it, which agents and
    recorder stamp: bookings carry the database's clock alone, and the order of events needs none.
    `patience`: how long a run may stand still before it counts as stuck. The recorder looks every five seconds, once it is up.
    """

    clocks: timedelta = _CLOCKS
    patience: timedelta = _PATIENCE


def audit_run(run: RunRecord, *, now: datetime, allowance: Allowance) -> list[Finding]:
    """What does not hold of a run. All its rows must be of one moment."""
    return [
        *known_transitions(run),
        *counted_once(run),
        *inputs_first(run, clocks=allowance.clocks),
        *booked_as_live(run),
        *reaches_an_end(run, now=now, patience=allowance.patience),
    ]
