"""Whose heartbeats are read: those that are signed with the key of the node that they speak of (ADR 0017)."""

import threading
from datetime import datetime

from nodewise.core.messages import HEARTBEAT, Heartbeat
from nodewise.core.model.ids import NodeName
from nodewise.core.sealing import Opening, Refusal, Refused
from nodewise.recorder.complaints import Complaints


class Admission:
    """Stands before the recorder. Safe to use from two threads."""

    def __init__(self, opens: Opening, complaints: Complaints) -> None:
        self._opens = opens
        self._complaints = complaints
        self._lives = _Lives()

    def take(self, payload: object) -> tuple[Heartbeat, bool] | None:
        """The heartbeat, and whether it is a sign of life; None: it is refused, which was said.

        Raises:
            pydantic.ValidationError: It is no heartbeat.
        """
        try:
            return self._taken(payload)
        except Refused as refused:
            self._complaints.about(refused.node, refused.why)
            return None

    def _taken(self, payload: object) -> tuple[Heartbeat, bool]:
        opened = self._opens(HEARTBEAT, payload)
        heartbeat = opened.read(Heartbeat)
        if opened.realm is None:
            return heartbeat, True
        node = heartbeat.node
        if (node.name, node.engine) != (opened.node, opened.realm):
            raise Refused(Refusal.OTHER_NODE, opened.node)
        if not opened.fresh:
            # What it reports is true whenever it comes; but nobody is alive for having been so.
            self._complaints.about(node.name, Refusal.CLOCK)
        return heartbeat, opened.fresh and self._lives.newest(heartbeat)


class _Lives:
    """The starts of agents in their order, so that a heartbeat of an earlier one that is sent again revives nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[NodeName, tuple[str, datetime]] = {}

    def newest(self, heartbeat: Heartbeat) -> bool:
        """Whether it is of the latest start that is known; within one, their numbers tell which is the newest."""
        with self._lock:
            boot_id, sent_at = self._seen.get(heartbeat.node.name, (heartbeat.boot_id, heartbeat.sent_at))
            if boot_id != heartbeat.boot_id and heartbeat.sent_at <= sent_at:
                return False
            self._seen[heartbeat.node.name] = (heartbeat.boot_id, max(sent_at, heartbeat.sent_at))
            return True
