"""The report of an attempt, left where others find it after this process and its pod are gone."""

import time
from pathlib import Path
from typing import Final

import structlog

from nodewise.core.errors import StoreError
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode
from nodewise.core.store import ArtifactStore, report_key

_TERMINATION_BYTES: Final = 4096
"""More is cut off by Kubernetes."""
_SHORT: Final = 1000
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_log = structlog.get_logger()


def leave_report(report: AttemptReport, store: ArtifactStore, termination: Path) -> None:
    """In the store, and as much of it as goes there in the pod's termination message."""
    stored = _stored(report, store)
    text = report.model_dump_json(exclude_none=True)
    if len(text.encode()) > _TERMINATION_BYTES:
        text = _shortened(report, stored=stored).model_dump_json(exclude_none=True)
    try:
        termination.write_text(text)
    except OSError as error:
        _log.warning("the termination message cannot be written", error=str(error))


def _stored(report: AttemptReport, store: ArtifactStore) -> bool:
    for pause in (*_PAUSES, None):
        try:
            store.write_key(report_key(report.key), report.model_dump_json().encode())
        except StoreError as error:
            _log.warning("a report could not be stored", error=str(error))
            if pause is not None:
                time.sleep(pause)
        else:
            return True
    return False


def _shortened(report: AttemptReport, *, stored: bool) -> AttemptReport:
    message = (report.message or "")[:_SHORT] or None
    if stored or report.state is not AttemptState.SUCCEEDED:
        return report.model_copy(update={"outputs": None, "message": message})
    # Without its outputs nobody can go on from it.
    text = "its outputs could not be stored, and are too large for a termination message"
    return report.model_copy(
        update={
            "state": AttemptState.FAILED,
            "reason": ReasonCode.AGENT_ERROR,
            "outputs": None,
            "message": text,
        }
    )
