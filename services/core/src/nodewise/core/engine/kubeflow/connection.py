"""How to reach KFP's API server, and as whom."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class KfpConnection:
    """An address with credentials; at most one of `token` and `token_file`, a `cookie` beside either.

    `token_file` is read anew for every request, since Kubernetes renews projected service-account tokens. `ca_file` is
    what the server's certificate is checked against (None: the usual authorities). `verify_tls=False` checks nothing.
    """

    url: str
    token: str | None = None
    token_file: Path | None = None
    cookie: str | None = None
    ca_file: Path | None = None
    verify_tls: bool = True
    client_certificate: Path | None = None
    client_key: Path | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(
                f"the address of Kubeflow Pipelines must begin with http:// or https://, is {self.url!r}"
            )
        if self.token is not None and self.token_file is not None:
            raise ValueError("give a token or a token file, not both")

    def bearer(self) -> str | None:
        """The token to send now.

        Raises:
            OSError: The token file cannot be read.
        """
        if self.token_file is not None:
            return self.token_file.read_text(encoding="utf-8").strip()
        return self.token

    def __repr__(self) -> str:
        return f"KfpConnection({self.url!r})"
