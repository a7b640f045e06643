"""How much of the cluster a team may have at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

DEFAULT_QUOTA: Final = "*"
"""The name under which the quota of all teams stands that have none of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Limits of one team; None: none. `cores` and `gpus` bound what its tasks hold, `queued_runs` what has not begun."""

    # For who reads it from settings: a misspelt limit is an error, not no limit.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    cores: float | None = None
    gpus: int | None = None
    queued_runs: int | None = None

    def __post_init__(self) -> None:
        for name in ("cores", "gpus", "queued_runs"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"a quota of {value} {name} is below 0")


def quota_of(team: str, quotas: Mapping[str, Quota]) -> Quota:
    """The team's own quota, else that of all, else one without limits."""
    return quotas.get(team) or quotas.get(DEFAULT_QUOTA) or Quota()
