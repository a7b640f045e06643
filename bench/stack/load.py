"""Requests to a server on this machine, over connections that stay open, with the least that HTTP/1.1 needs.

A client library would take more of the two cores than the server that is measured.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from bench.measure import BenchFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to send what. `content` goes as JSON; none: a GET. `headers` are added."""

    port: int
    path: str
    content: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    host: str = "127.0.0.1"

    def request(self) -> bytes:
        method = "POST" if self.content else "GET"
        lines = [f"{method} {self.path} HTTP/1.1", f"host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.content:
            lines += ["content-type: application/json", f"content-length: {len(self.content)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of a load: how many answers a second, and how long each took, in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    answers: int


def at_full_speed(target: Target, *, connections: int, seconds: float) -> Outcome:
    """Each connection asks again as soon as it has its answer."""
    return asyncio.run(_run(target, connections=connections, seconds=seconds, rate=None))


def at_rate(target: Target, rate: float, *, connections: int, seconds: float) -> Outcome:
    """So many requests a second, at even distances; times count from when each was due, so that waiting counts."""
    return asyncio.run(_run(target, connections=connections, seconds=seconds, rate=rate))


async def _run(target: Target, *, connections: int, seconds: float, rate: float | None) -> Outcome:
    request, taken = target.request(), list[float]()
    links = [await asyncio.open_connection(target.host, target.port) for _ in range(connections)]
    start = time.perf_counter()

    async def ask(place: int) -> None:
        reader, writer = links[place]
        number = place
        while True:
            due = start + number / rate if rate else time.perf_counter()
            if due >= start + seconds:
                return
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            writer.write(request)
            await _answer(reader)
            taken.append(time.perf_counter() - due)
            number += connections

    await asyncio.gather(*(ask(place) for place in range(connections)))
    lasted = time.perf_counter() - start
    for _, writer in links:
        writer.close()
    hundredths = quantiles(taken, n=100)
    return Outcome(
        rate=len(taken) / lasted,
        p50_ms=1000 * hundredths[49],
        p99_ms=1000 * hundredths[98],
        answers=len(taken),
    )


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 2"):
        raise BenchFailed(f"{head.splitlines()[0]!r} {body[:300]!r}")
