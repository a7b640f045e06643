"""An artifact on its way here: in blocks, so that its size does not matter, and whole or not at all."""

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx

from nodewise.core.errors import NodewiseError
from nodewise.sdk.client.errors import ApiError, NotReachable
from nodewise.sdk.client.transport import TRY_AGAIN, Transport

_NAME = re.compile(r"filename\*=UTF-8''([^;]+)")


class CannotWrite(NodewiseError):
    """What was downloaded cannot be put where it was wanted."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        super().__init__(f"cannot write {path}: {error.strerror or error}")


def download(transport: Transport, path: str, *, destination: Path, fallback: str) -> Path:
    """Bring what stands at `path` of the API to `destination`, or into it where that is a folder.

    Args:
        transport: The way to the API.
        path: Of the resource.
        destination: A file, which is replaced, or a folder that exists.
        fallback: The file's name in that folder, should the API not give one.

    Returns:
        The file.

    Raises:
        ApiError: The API refused.
        NotReachable: The answer did not come, or not to its end.
        CannotWrite: The destination cannot be written.
    """
    attempt = 0
    while True:
        try:
            return _once(transport, path, destination=destination, fallback=fallback)
        except OSError as error:
            raise CannotWrite(destination, error) from error
        except (httpx.TransportError, ApiError) as error:
            passing = not isinstance(error, ApiError) or error.status in TRY_AGAIN
            if not passing or not transport.pause(attempt):
                raise _final(transport, error) from error
        attempt += 1


def _final(transport: Transport, error: httpx.TransportError | ApiError) -> NodewiseError:
    return error if isinstance(error, ApiError) else NotReachable(transport.url, str(error))


def _once(transport: Transport, path: str, *, destination: Path, fallback: str) -> Path:
    with transport.stream(path, headers={}) as answer:
        into_folder = destination.is_dir()
        target = destination / _file_name(answer, fallback) if into_folder else destination
        with _partial(target) as partial:
            with partial.open("xb") as file:
                for block in answer.iter_bytes():
                    file.write(block)
            partial.replace(target)
    return target


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    partial = target.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _file_name(answer: httpx.Response, fallback: str) -> str:
    """The name that the API gives, never a path."""
    match = _NAME.search(answer.headers.get("Content-Disposition", ""))
    name = os.path.basename(unquote(match[1])) if match else ""  # noqa: PTH119 (a name, no path of this machine)
    return name if name not in ("", ".", "..") else fallback
