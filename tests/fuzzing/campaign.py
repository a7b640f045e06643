"""Sends malformed submissions to a gateway and keeps account of what it answered and of its memory."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx
import psutil

from tests.fuzzing.malformed import Malformed

_MIB = 1024 * 1024
_SETTLED_AFTER = 0.2
"""Memory is compared from this share of the requests on: before, pools and caches fill for the first time."""
_EXAMPLES = 5


@dataclass(kw_only=True)
class Account:
    """What came of it. `wrong` are requests that were not refused as they must be, the first few in full."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    slowest: str = ""
    settled_mib: float = 0.0
    last_mib: float = 0.0

    @property
    def grown_mib(self) -> float:
        """Of the gateway, after it had settled."""
        return self.last_mib - self.settled_mib

    def __str__(self) -> str:
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return "\n".join(
            (
                f"{self.sent} malformed submissions: {kinds}",
                f"answers: {answers}; not refused as they must be: {len(self.wrong)}",
                f"slowest: {self.slowest_seconds:.2f} s ({self.slowest})",
                f"memory of the gateway: {self.settled_mib:.0f} MiB when it had settled, {self.last_mib:.0f} MiB at the end",
                *self.wrong[:_EXAMPLES],
            )
        )


def attack(
    url: str, requests: Iterable[Malformed], *, count: int, gateway: int, headers: Mapping[str, str]
) -> Account:
    """Send them one after the other.

    Args:
        url: of the gateway.
        requests: what to send.
        count: how many there are.
        gateway: its process, whose memory is watched.
        headers: of every request: the key of who attacks.
    """
    account, process = Account(), psutil.Process(gateway)
    with httpx.Client(base_url=url, timeout=60, headers=headers) as client:
        for request in requests:
            _one(client, request, account)
            if account.sent <= count * _SETTLED_AFTER:
                account.settled_mib = process.memory_info().rss / _MIB
    account.last_mib = process.memory_info().rss / _MIB
    return account


def _one(client: httpx.Client, request: Malformed, account: Account) -> None:
    started = time.monotonic()
    answer = client.request(
        request.method, request.path, content=request.content, headers=dict(request.headers)
    )
    took = time.monotonic() - started
    account.sent += 1
    account.kinds[request.kind] += 1
    account.statuses[answer.status_code] += 1
    if took > account.slowest_seconds:
        account.slowest_seconds, account.slowest = took, request.kind
    refused = 400 <= answer.status_code < 500 and answer.headers["content-type"] == "application/problem+json"
    if not refused:
        account.wrong.append(
            f"{request.kind} {request.path} {request.content[:300]!r}: {answer.status_code} {answer.text[:200]}"
        )
