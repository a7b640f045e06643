"""Retention: removing what ended long ago."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final, cast

from nodewise.sdk.client.transport import Request, Transport
from nodewise.sdk.dsl.options import seconds_of
from nodewise.sdk.models import Json

_STEP_SECONDS: Final = 600.0
"""A step that sweeps the store reads all addresses that the tables name."""


class Pruning:
    """The part of the client that removes what is old."""

    _transport: Transport

    def prune(
        self, older_than: timedelta | float | str, *, keep_failed: bool = False, dry_run: bool = False
    ) -> Json:
        """Remove runs that ended longer ago than that, and what only they had; returns what went.

        Leaving it off at any moment, and doing it again, does no harm.

        Args:
            older_than: A duration (`30d`, seconds, a timedelta); at least an hour.
            keep_failed: Runs that failed stay.
            dry_run: Only say what would go.

        Raises:
            ApiError: 422, not a duration that is taken.
            ValueError: The text is no duration.
        """
        steps = list(self.prune_steps(older_than, keep_failed=keep_failed, dry_run=dry_run))
        total: Counter[str] = Counter()
        for step in steps:
            total.update(step["removed"])
        return {"before": steps[0]["before"], "dry_run": dry_run, "removed": dict(total)}

    def prune_steps(
        self, older_than: timedelta | float | str, *, keep_failed: bool = False, dry_run: bool = False
    ) -> Iterator[Json]:
        """The same step by step: what each one removed. Nothing goes on unless the next one is asked for."""
        body: dict[str, Any] = {
            "older_than_seconds": int(seconds_of(older_than)),
            "keep_failed": keep_failed,
            "dry_run": dry_run,
        }
        while True:
            request = Request(method="POST", path="/v1/prune", json=body, timeout=_STEP_SECONDS)
            step = cast("Json", self._transport.send(request).json())
            yield step
            if step["next_cursor"] is None:
                return
            body["cursor"] = step["next_cursor"]
