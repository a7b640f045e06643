"""How variables reach a container: not in arguments, which every user of the machine can read.

A runtime's client takes them from a file, a line each, or by name from its own environment. The file is for whatever fits on a line: the
client heeds nothing of it, while a task's `LD_PRELOAD` or `DOCKER_HOST` in its environment would be the client's own.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LONGEST_LINE: Final = 60_000
"""Bytes. Docker and podman read lines of less than 64 KiB."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BREAK: Final = re.compile(r"[\n\r\0]")
_OF_THE_CLIENT: Final = re.compile(
    r"(LD|DYLD|GLIBC|MALLOC|DOCKER|BUILDKIT|BUILDX|BUILDAH|MOBY|PODMAN|CONTAINERS?|_CONTAINERS|STORAGE|NERDCTL|OTEL|XDG|DBUS|LC|PYTHON|BASH"
    r"|PERL5|LISTEN)_?.*"
    r"|GO(DEBUG|GC|MEMLIMIT|MAXPROCS|TRACEBACK|COVERDIR)|SSL_CERT_(FILE|DIR)|SSLKEYLOGFILE|SSH_(AUTH_SOCK|ASKPASS.*)|REGISTRY_AUTH_FILE"
    r"|PATH|HOME|USER|LOGNAME|SHELL|SHELLOPTS|ENV|IFS|PS4|LANG|LANGUAGE|TERM|TZ|TZDIR|TMP|TEMP|TMPDIR|NOTIFY_SOCKET|GCONV_PATH|LOCPATH|NLSPATH"
    r"|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|(.*_)?PROXY",
    re.IGNORECASE,
)
"""What the client, its libraries, the linker or a script in its place may heed."""
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """Those of a container, by the way that they take.

    `shown` stand in the arguments: what has line breaks or no proper name and would mean something to the client.
    """

    filed: Mapping[str, str]
    inherited: Mapping[str, str]
    shown: Mapping[str, str]

    def words(self, file: Path) -> list[str]:
        """The client's arguments, where `file` holds what is filed."""
        return [
            *([f"--env-file={file}"] if self.filed else []),
            *(f"--env={name}" for name in sorted(self.inherited)),
            *(f"--env={name}={value}" for name, value in sorted(self.shown.items())),
        ]

    def write(self, file: Path) -> None:
        """Make the file, for us only.

        Raises:
            OSError: The disk does not take it.
        """
        if not self.filed:
            return
        file.unlink(missing_ok=True)
        lines = "".join(f"{name}={value}\n" for name, value in sorted(self.filed.items()))
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as made:
            made.write(lines.encode())


def sorted_out(environment: Mapping[str, str]) -> Variables:
    """Which way each variable of a container takes."""
    filed, inherited, shown = dict[str, str](), dict[str, str](), dict[str, str]()
    for name, value in environment.items():
        named = _NAME.fullmatch(name) is not None
        if named and _fits_on_a_line(f"{name}={value}"):
            filed[name] = value
        elif named and not _OF_THE_CLIENT.fullmatch(name):
            inherited[name] = value
        else:
            shown[name] = value
    return Variables(filed=filed, inherited=inherited, shown=shown)


def _fits_on_a_line(text: str) -> bool:
    try:
        return _BREAK.search(text) is None and len(text.encode()) < _LONGEST_LINE
    except UnicodeEncodeError:
        # Bytes that are no text: docker refuses them in a file.
        return False
