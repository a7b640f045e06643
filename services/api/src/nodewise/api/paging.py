"""Cursors: where a page ended, as text that a client hands back unread."""

import base64
import binascii
import json
import uuid
from datetime import datetime

from nodewise.api.problems import invalid
from nodewise.core.model.ids import RunId


def encode_cursor(submitted_at: datetime, run_id: str) -> str:
    """The cursor behind that run."""
    raw = json.dumps([submitted_at.isoformat(timespec="microseconds"), str(run_id)], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, RunId]:
    """The place that a cursor stands for.

    Raises:
        Problem: 422, no answer of ours contained it.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        submitted_at, run_id = json.loads(raw)
        # A time without its zone fails here.
        moment = datetime.strptime(submitted_at, "%Y-%m-%dT%H:%M:%S.%f%z")
        return moment, RunId(str(uuid.UUID(run_id)))
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise invalid("query.cursor", "must be a next_cursor of an earlier answer") from error
