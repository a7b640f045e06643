"""Postgres refuses to run as root. As whom it runs instead is decided here, once per start."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nodewise.stack.errors import StackError

_UNSHARE = ("unshare", "-U", "--map-user=65534", "--map-group=65534")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """How to run a program that refuses root: behind `prefix`, or as `user` and `group`."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def give(self, path: Path) -> None:
        """Let that user own `path` and all in it, if it is another user than ours."""
        if self.user is None or self.group is None:
            return
        for entry in (path, *(path.rglob("*") if path.is_dir() else ())):
            os.chown(entry, self.user, self.group, follow_symlinks=False)

    def let_through(self, folder: Path) -> None:
        """Let that user reach what it owns in a folder of ours, without seeing what else is there."""
        if self.user is not None:
            folder.chmod(folder.stat().st_mode | 0o011)

    def require_reach(self, *paths: Path) -> None:
        """Raise StackError that names a path which that user may not reach: folders above it can forbid it."""
        for path in paths:
            if self.user is not None and not self._reaches(path):
                raise StackError(
                    f"Postgres does not run as root, and the user `nobody` may not reach {path}",
                    "use --home (and a virtual environment) in a folder that all may enter, such as "
                    "/var/tmp/nodewise, or run `nodewise up` as an ordinary user",
                )

    def _reaches(self, path: Path) -> bool:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            ["/usr/bin/env", "test", "-r", str(path)],
            user=self.user, group=self.group, extra_groups=[], cwd="/", check=False,
        )  # fmt: skip
        return done.returncode == 0


def run_as() -> RunAs:
    """Ourselves unless we are root; else a user namespace; else `nobody`.

    Raises:
        StackError: We are root, and neither is possible.
    """
    if os.geteuid() != 0:
        return RunAs()
    if unshare_works():
        return RunAs(prefix=_UNSHARE)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StackError(
            "Postgres does not run as root, `unshare -U` is not allowed here and there is no user `nobody`",
            "run `nodewise up` as an ordinary user, or set DATABASE_URL to a Postgres of your own",
        ) from None
    return RunAs(user=nobody.pw_uid, group=nobody.pw_gid)


@cache
def unshare_works() -> bool:
    """Whether this machine lets us make a user namespace."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
