"""Jobs in the artifact store: those that are written together lie in one file, one a line, each at an address of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from nodewise.core.codec import decode_json, encode_json
from nodewise.core.errors import JobUnreadable
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.store import ArtifactStore

FILE_BYTES: Final = 256 * 1024
"""A file of several jobs is no larger: whoever reads one of them reads them all. A job that is larger has a file of its own."""
_LINE: Final = "#"
"""Between the address of a file and the line of the job, counted from 1. A job that is alone in its file has its address."""


def write_jobs(store: ArtifactStore, jobs: Sequence[Job]) -> Mapping[AttemptKey, str]:
    """Store these jobs in few files; the same ones again are stored once.

    Returns:
        Where each lies, as `read_job` takes it.

    Raises:
        StoreError: The store cannot be written; some of them may be there.
    """
    uris: dict[AttemptKey, str] = {}
    for keys, lines in _files((job.key, encode_json(job)) for job in jobs):
        uri = store.put_bytes(b"\n".join(lines))
        alone = len(keys) == 1
        uris |= {key: uri if alone else f"{uri}{_LINE}{line}" for line, key in enumerate(keys, start=1)}
    return uris


def read_job(store: ArtifactStore, uri: str, key: AttemptKey | None = None) -> Job:
    """The job that lies at an address.

    Args:
        store: Where it was written to.
        uri: As `write_jobs` gave it, or an earlier release, which wrote each job to a file of its own.
        key: The attempt whose job it is to be; None: whichever it is.

    Raises:
        JobUnreadable: There is no job, or that of another attempt; trying again does not help.
        ArtifactMissing: Nothing is stored there.
        StoreError: It cannot be read now.
    """
    file, _, line = uri.partition(_LINE)
    data = store.get_bytes(file)
    try:
        job = decode_json(Job, _line_of(data, line) if line else data)
    except ValidationError as error:
        first = error.errors()[0]
        raise JobUnreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise JobUnreadable(f"there is nothing at {uri}") from error
    if key is not None and job.key != key:
        raise JobUnreadable(f"what lies at {uri} is that of {job.key}")
    return job


def _files(lines: Iterable[tuple[AttemptKey, bytes]]) -> Iterator[tuple[list[AttemptKey], list[bytes]]]:
    keys: list[AttemptKey] = []
    held: list[bytes] = []
    size = 0
    for key, line in lines:
        if held and size + len(line) + 1 > FILE_BYTES:
            yield keys, held
            keys, held, size = [], [], 0
        keys.append(key)
        held.append(line)
        size += len(line) + 1
    if held:
        yield keys, held


def _line_of(data: bytes, line: str) -> bytes:
    """Raises ValueError where there is no such line."""
    lines, number = data.split(b"\n"), int(line)
    if not 1 <= number <= len(lines):
        raise ValueError(f"no line {number}")
    return lines[number - 1]
