"""What the figures must be: a target knows its limit, and whether it is met."""

from collections.abc import Iterable
from dataclasses import dataclass

ROUNDING = 1e-9
"""Equal plans whose times were added up in another order differ by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something that may be at most `limit`."""

    part: str
    what: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """False also where the value is no number."""
        return self.value <= self.limit * (1 + ROUNDING)

    def line(self) -> str:
        word = "met   " if self.met else "MISSED"
        return f"{word} {self.part}: {self.what}: {self.value:.4g} (at most {self.limit:.4g})"


def missed(targets: Iterable[Target]) -> list[Target]:
    return [target for target in targets if not target.met]
