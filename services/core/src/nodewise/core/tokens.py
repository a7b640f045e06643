"""How an API key looks: `nw_<32 hex digits>_<secret>`. `python -m nodewise.core.tokens` prints a new one.

The digits name the key (they are the id of its row) and are no secret. The secret is 256 random bits.
"""

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Final

_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"nw_([0-9a-f]{32})_([A-Za-z0-9_-]{43,128})")
FORM: Final = "nw_<32 hex digits>_<secret of 43 to 128 letters, digits, dashes and underscores>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A key in the hands of its holder. `id` is a UUID; the secret does not show when it is printed."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What is sent as `Authorization: Bearer ...`."""
        return f"nw_{uuid.UUID(self.id).hex}_{self.secret}"

    @property
    def secret_hash(self) -> bytes:
        """SHA-256 of the secret: all that is stored of it. It is random, so that a slow hash would protect nothing more."""
        return hashlib.sha256(self.secret.encode()).digest()


def new_token() -> Token:
    """A key that nobody has yet."""
    return Token(id=str(uuid.uuid4()), secret=secrets.token_urlsafe(_SECRET_BYTES))


def read_token(text: str) -> Token | None:
    """The key that a text is; None: it is none."""
    found = _TOKEN.fullmatch(text)
    return Token(id=str(uuid.UUID(found[1])), secret=found[2]) if found else None


if __name__ == "__main__":
    print(new_token().text)  # noqa: T201 - what it is for
