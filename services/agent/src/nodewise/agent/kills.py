"""Whether the system ended something in this container for lack of memory: a signal alone does not say why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport
from nodewise.core.model.decision import ReasonCode

# Of the second version of control groups, and of the first.
_COUNTERS: Final = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
_KILLED: Final = 137
"""128 + SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryKills:
    """How many there were at some time; None: the system does not tell."""

    count: int | None

    @classmethod
    def now(cls) -> "MemoryKills":
        return cls(count=next((found for path in _COUNTERS if (found := _read(path)) is not None), None))

    def judged(self, report: AttemptReport, *, limit_mib: int | None) -> AttemptReport:
        """The report, with memory as its reason where the task was killed and there were more kills since."""
        after = MemoryKills.now().count
        killed = report.state is AttemptState.FAILED and report.exit_code == _KILLED
        if not killed or self.count is None or after is None or after <= self.count:
            return report
        limit = f"its limit of {limit_mib} MiB" if limit_mib else "the limit of its pod"
        return report.model_copy(
            update={"reason": ReasonCode.OUT_OF_MEMORY, "message": f"ended by the system at {limit}"}
        )


def _read(path: Path) -> int | None:
    try:
        words = [line.split() for line in path.read_text().splitlines()]
        return next((int(pair[1]) for pair in words if pair[0] == "oom_kill"), None)
    except (OSError, ValueError, IndexError):
        return None
