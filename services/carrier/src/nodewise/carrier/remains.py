"""What the processes of an attempt left in the store."""

import structlog
from pydantic import ValidationError

from nodewise.core.messages import AttemptReport
from nodewise.core.model.ids import AttemptKey
from nodewise.core.store import ArtifactStore, report_key

_log = structlog.get_logger()


class Leavings:
    """Reads reports."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def of(self, key: AttemptKey) -> AttemptReport | None:
        """The report of that attempt; None: it left none.

        Raises:
            StoreError: The store does not answer.
        """
        raw = self._store.read_key(report_key(key))
        if raw is None:
            return None
        try:
            report = AttemptReport.model_validate_json(raw)
        except ValidationError as error:
            _log.warning("a report is not readable", attempt=str(key), error=str(error))
            return None
        return report if report.key == key else None
