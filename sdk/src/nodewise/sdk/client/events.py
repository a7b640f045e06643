"""Server-sent events: a reader of the wire format, and a stream that picks up where it was cut off."""

import json
from collections.abc import Iterable, Iterator

import httpx

from nodewise.core.lifecycle import FINAL_RUN_STATES
from nodewise.sdk.client.errors import ApiError, NotReachable
from nodewise.sdk.client.transport import TRY_AGAIN, Transport
from nodewise.sdk.models import Event


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Events out of the lines of a `text/event-stream`; comments (keep-alives) and an unfinished last event are dropped."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            yield _event(fields)
        fields = {}


def _event(fields: dict[str, list[str]]) -> Event:
    return Event(
        id=fields.get("id", [""])[-1],
        kind=fields.get("event", ["message"])[-1],
        data=json.loads("\n".join(fields["data"])),
    )


def follow(transport: Transport, path: str, *, after: str | None = None) -> Iterator[Event]:
    """Every event of a run, in order, each once, until the run's final one; reconnects by Last-Event-ID.

    Raises:
        NotReachable: The stream broke and could not be taken up again.
        ApiError: The API refused.
    """
    seen, failures = after, 0
    while True:
        broken: Exception | None = None
        try:
            for event in _connected(transport, path, after=seen):
                seen, failures = event.id or seen, 0
                yield event
                if is_last(event):
                    return
        except (httpx.TransportError, ApiError) as error:
            broken = error
        if not _may_go_on(broken) or not transport.pause(failures):
            _give_up(transport, broken)
            return
        failures += 1


def _connected(transport: Transport, path: str, *, after: str | None) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    with transport.stream(path, headers=headers) as response:
        yield from read_events(response.iter_lines())


def _may_go_on(broken: Exception | None) -> bool:
    """An end without a final event is a cut, whether it came with an error or not."""
    return not isinstance(broken, ApiError) or broken.status in TRY_AGAIN


def _give_up(transport: Transport, broken: Exception | None) -> None:
    if isinstance(broken, ApiError):
        raise broken
    if broken is not None:
        raise NotReachable(transport.url, str(broken)) from broken


def is_last(event: Event) -> bool:
    """Whether nothing can follow."""
    return event.kind == "run" and event.state in FINAL_RUN_STATES
