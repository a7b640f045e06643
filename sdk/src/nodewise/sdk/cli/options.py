"""Options that many commands share, and what they open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from nodewise.core.errors import NodewiseError, UnknownName

if TYPE_CHECKING:
    from nodewise.sdk.client import Client, Run

Url = Annotated[
    str | None, typer.Option("--url", help="The API; else NODEWISE_URL, else the stack of this folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
RunRef = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of it, or `latest`.")
]

_ID_LENGTH = 36
_RETRIES = 2
"""A person waits: give up after about half a second."""
_PATIENT_RETRIES = 7
"""Whoever follows a run outlives a restart of the API: about sixteen seconds."""


class AmbiguousRun(NodewiseError):
    """Several runs begin like that."""

    def __init__(self, prefix: str, runs: list[Run]) -> None:
        self.prefix = prefix
        listed = ", ".join(f"{run.id} ({run.name})" for run in runs[:5])
        super().__init__(f"{len(runs)} runs begin with {prefix!r}: {listed}{' ...' if len(runs) > 5 else ''}")


def connect(url: str | None, *, patient: bool = False) -> Client:
    """A client that gives up early, since a person waits; or late, for one who follows a run."""
    from nodewise.sdk.client import Client  # noqa: PLC0415

    return Client(url, retries=_PATIENT_RETRIES if patient else _RETRIES)


def find_run(client: Client, ref: str) -> Run:
    """The run that the user means.

    Raises:
        UnknownName: No run is called that.
        AmbiguousRun: Several runs begin like that.
    """
    if ref == "latest":
        return _only(ref, list(client.runs(limit=1)))
    if len(ref) >= _ID_LENGTH:
        return client.get(ref)
    return _only(ref, _called(ref, client.runs()) or _called(ref, client.runs(archived=True)))


def _called(ref: str, runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.id.startswith(ref) or run.name == ref]


def _only(ref: str, found: list[Run]) -> Run:
    if not found:
        raise UnknownName("run", ref)
    if len(found) > 1:
        raise AmbiguousRun(ref, found)
    return found[0]
