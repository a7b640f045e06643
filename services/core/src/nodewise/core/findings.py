"""What the doctor says: values."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `advice`: what to do, where it is not in order."""

    level: Level
    subject: str
    text: str
    advice: str = ""

    def line(self) -> str:
        """As it is printed."""
        return f"{self.level:<4}  {self.subject:<10}  {self.text}" + (
            f"; {self.advice}" if self.advice else ""
        )


def ok(subject: str, text: str) -> Finding:
    return Finding(level=Level.OK, subject=subject, text=text)


def warn(subject: str, text: str, advice: str) -> Finding:
    return Finding(level=Level.WARN, subject=subject, text=text, advice=advice)


def fail(subject: str, text: str, advice: str) -> Finding:
    return Finding(level=Level.FAIL, subject=subject, text=text, advice=advice)
