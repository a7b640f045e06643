"""The admin key of a home: made with it, kept in a file for its owner only, found there by `nodewise` and its Client."""

import os
from pathlib import Path
from typing import Final

from nodewise.core.tokens import FORM, new_token, read_token
from nodewise.stack.errors import StackError

ADMIN_KEY: Final = "admin.key"
"""The SDK looks for a file of this name, too."""
_OWNER_ONLY: Final = 0o600


def key_file(home: Path) -> Path:
    return home / ADMIN_KEY


def prepare_key(home: Path) -> None:
    """See that there is a key; one that is there stays.

    Raises:
        StackError: The file is there, but holds no key or can be read by others.
    """
    file = key_file(home)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as new:
            new.write(f"{new_token().text}\n")
    except FileExistsError:
        _check(file)


def key_in(home: Path) -> str | None:
    """The key of that home; None: it has none that we can read."""
    try:
        return key_file(home).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def key_problem(home: Path) -> StackError | None:
    """What is wrong with the file of the key, if anything."""
    try:
        _check(key_file(home))
    except (StackError, OSError) as error:
        return error if isinstance(error, StackError) else _broken(key_file(home), type(error).__name__)
    return None


def _check(file: Path) -> None:
    text = key_in(file.parent)
    if text is None or read_token(text) is None:
        raise _broken(file, f"it holds no key of the form {FORM}")
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise StackError(f"{file} can be read by others (mode {mode:o})", f"chmod 600 {file}")


def _broken(file: Path, why: str) -> StackError:
    return StackError(
        f"{file} cannot be used: {why}", "remove it: the next `nodewise up` makes another, or write one"
    )
