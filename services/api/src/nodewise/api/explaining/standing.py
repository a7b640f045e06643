"""Whether the reason that a task shows still stands, seen against the cluster as it is now. Pure.

What the scheduler, a placer or the recorder stored is of their latest look; the nodes are shown as of this moment. What can
be derived again is, so that the sentence and the table are of one moment; of the rest is said that it is older, and whether
it has been overtaken by events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from nodewise.api.explaining.waiting import Waiting
from nodewise.core.feasibility import exclusion
from nodewise.core.model.decision import ReasonCode
from nodewise.core.refusals import about, refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Why a task waits.

    `as_of`: when that is so (None: as of the latest look of who stored it, a moment ago). `overtaken`: what has happened
    since, so that it does not hold any more; who stored it will see that in its next look.
    """

    code: ReasonCode | None
    text: str
    as_of: datetime | None = None
    overtaken: str | None = None


def standing(waiting: Waiting) -> Standing:
    """The reason, as of now where it can be told from what is at hand."""
    if waiting.canceling:
        text = "its run is being canceled"
        return Standing(code=ReasonCode.RUN_CANCELED, text=text, as_of=waiting.now)
    derive = _DERIVED.get(waiting.code) if waiting.code else None
    return _stored(waiting) if derive is None else derive(waiting)


def _stored(waiting: Waiting, overtaken: str | None = None) -> Standing:
    return Standing(code=waiting.code, text=waiting.text, overtaken=overtaken)


def _room(waiting: Waiting) -> Standing:
    found = [(view.name, exclusion(waiting.spec, view, waiting.cluster)) for view in waiting.cluster.nodes]
    able = next((name for name, excluded in found if excluded is None), None)
    if able is not None:
        return _stored(waiting, f"{able} has room for it now, which the next look of the scheduler will see")
    now = refusal(waiting.spec, [excluded for _, excluded in found if excluded is not None])
    return Standing(code=now.code, text=now.text, as_of=waiting.now)


def _inputs(waiting: Waiting) -> Standing:
    if not waiting.upstream:
        return _stored(waiting, "its inputs are there now, which the next look of the recorder will see")
    text = f"waits for {', '.join(one.path for one in waiting.upstream)}"
    return Standing(code=waiting.code, text=text, as_of=waiting.now)


def _rest(waiting: Waiting) -> Standing:
    rests = waiting.not_before is not None and waiting.not_before > waiting.now
    return _stored(
        waiting, None if rests else "that time has come, which the next look of the scheduler will see"
    )


def _planned(waiting: Waiting) -> Standing:
    """The sentence that is stored, unless the plan has moved since: times are refreshed more often than sentences."""
    expected = waiting.expected
    if expected is None:
        return _stored(waiting)
    start, end = about(expected.start_at, waiting.now), about(expected.end_at, waiting.now)
    if expected.node in waiting.text and start in waiting.text:
        return _stored(waiting)
    return Standing(code=waiting.code, text=f"planned on {expected.node} from {start}, to end {end}")


_DERIVED: Final[Mapping[ReasonCode, Callable[[Waiting], Standing]]] = MappingProxyType(
    {
        ReasonCode.NO_NODES: _room,
        ReasonCode.NO_ROOM: _room,
        ReasonCode.UNSATISFIABLE: _room,
        ReasonCode.UPSTREAM_NOT_FINISHED: _inputs,
        ReasonCode.RETRY_BACKOFF: _rest,
        ReasonCode.WAITS_FOR_NODE: _planned,
        ReasonCode.PLANNED_LATER: _planned,
    }
)
"""The reasons that hold for as long as something is so that is at hand here."""
