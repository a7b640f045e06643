"""What must hold of every history, checked after the fact. Pure: the rows come in as values (`core.db.audits` reads them)."""

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import (
    AttemptRecord,
    BookingRecord,
    EventRecord,
    RoomRecord,
    RunRecord,
    TaskRecord,
)
from nodewise.core.audit.rooms import booked_sums, within_capacity
from nodewise.core.audit.run import Allowance, audit_run

__all__ = [
    "Allowance", "AttemptRecord", "BookingRecord", "Check", "EventRecord", "Finding", "RoomRecord", "RunRecord",
    "TaskRecord", "audit_run", "booked_sums", "within_capacity",
]  # fmt: skip
