"""Errors of the client, below the tree of `nodewise.core.errors`.

NodewiseError
├── ApiError          the API refused; carries its problem+json
├── RunFailed         a run that was waited for did not succeed
├── NoSuchFile        what was to be submitted or uploaded is not there
├── CannotWrite       what was downloaded cannot be put there (download)
└── Unavailable
    ├── NotReachable  nothing answers at that address
    └── NoStack       nothing says where the API is (discovery)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nodewise.core.errors import NodewiseError, Unavailable
from nodewise.sdk.discovery import ADVICE
from nodewise.sdk.models import RunInfo


class ApiError(NodewiseError):
    """An answer that is not a success (RFC 9457).

    `errors` are `{"field", "rule"}`. `str()` is one line: the detail, or the title and every rule.
    """

    def __init__(
        self, status: int, title: str, *, detail: str | None = None, errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        super().__init__(self._line())

    @classmethod
    def from_body(cls, status: int, body: object, *, reason: str) -> "ApiError":
        """From a decoded answer of any shape; what is not problem+json is kept as the detail."""
        if not isinstance(body, Mapping):
            return cls(status, reason, detail=str(body)[:500] if body else None)
        errors = body.get("errors")
        return cls(
            status,
            str(body.get("title") or reason),
            detail=body.get("detail") and str(body["detail"]),
            errors=[e for e in errors if isinstance(e, Mapping)] if isinstance(errors, list) else (),
        )

    def _line(self) -> str:
        rules = "; ".join(f"{e.get('field')}: {e.get('rule')}" for e in self.errors)
        said = self.detail or self.title
        for error in self.errors:
            field, rule = str(error.get("field")), str(error.get("rule"))
            said = said.replace(f"{field}: {rule}", _for_a_person(field, rule))
        new = rules if rules and not all(str(e.get("rule")) in said for e in self.errors) else ""
        return " ".join((f"{said} ({new})" if new else said).split())


def _for_a_person(field: str, rule: str) -> str:
    """`deadline: must be in the future` for `body.deadline`; the rule alone where it names the thing itself."""
    name = field.partition(".")[2] or field
    return rule if name in rule else f"{name}: {rule}"


class NotReachable(Unavailable):
    """No answer from the API, after all tries."""

    def __init__(self, url: str, cause: str = "") -> None:
        self.url = url
        self.cause = cause
        super().__init__(f"cannot reach {url}: {ADVICE}" + (f" ({cause})" if cause else ""))


class RunFailed(NodewiseError):
    """A run ended otherwise than SUCCEEDED. Carries the run as it was last seen."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run
        why = f": {run['error']}" if run.get("error") else ""
        super().__init__(f"run {run['name']} ({run['id']}) ended {run['state']}{why}")


class NoSuchFile(NodewiseError):
    """A file or folder that the user named is not there."""

    def __init__(self, path: object) -> None:
        self.path = path
        super().__init__(f"there is no file or folder {path}")
