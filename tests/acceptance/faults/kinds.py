"""Which faults there are, and which come when: everything of a chaos run that its seed decides. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    KILL_SERVICE = "service killed (SIGKILL)"
    FREEZE_SERVICE = "service frozen (SIGSTOP, SIGCONT)"
    KILL_AGENT = "agent killed (SIGKILL)"
    FREEZE_AGENT = "agent frozen for less than its lease"
    GIVE_UP_AGENT = "agent frozen beyond its lease, reports late"
    POSTGRES_FAST = "Postgres restarted, fast"
    POSTGRES_IMMEDIATE = "Postgres restarted, immediate"
    VALKEY_KILLED = "Valkey killed (SIGKILL)"
    VALKEY_EMPTIED = "Valkey killed and emptied"
    NETWORK_CUT = "agent cut from the broker, refused"
    NETWORK_SILENT = "agent cut from the broker, dropped"
    DISK_FULL = "artifact store full"


SERVICES = ("api", "scheduler", "placer-1", "placer-2", "recorder", "monitor")
AGENTS = ("agent-n1", "agent-n2", "agent-n3", "agent-n4")
_SECONDS = {
    Kind.FREEZE_SERVICE: (0.5, 8.0),
    Kind.FREEZE_AGENT: (0.5, 6.0),
    Kind.GIVE_UP_AGENT: (12.0, 16.0),
    Kind.NETWORK_CUT: (1.0, 14.0),
    Kind.NETWORK_SILENT: (1.0, 14.0),
    Kind.DISK_FULL: (2.0, 6.0),
}
_VICTIMS = {
    Kind.KILL_SERVICE: SERVICES,
    Kind.FREEZE_SERVICE: SERVICES,
    Kind.KILL_AGENT: AGENTS,
    Kind.FREEZE_AGENT: AGENTS,
    Kind.GIVE_UP_AGENT: AGENTS,
    Kind.POSTGRES_FAST: ("postgres",),
    Kind.POSTGRES_IMMEDIATE: ("postgres",),
    Kind.VALKEY_KILLED: ("valkey",),
    Kind.VALKEY_EMPTIED: ("valkey",),
    Kind.NETWORK_CUT: ("n5",),
    Kind.NETWORK_SILENT: ("n5",),
    Kind.DISK_FULL: ("store",),
}
_TOGETHER = 0.25
_PAUSE_SECONDS = (0.2, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; `seconds` is how long it stays (0: it is over at once, and the stack heals it)."""

    kind: Kind
    victim: str
    seconds: float

    def __str__(self) -> str:
        stays = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind}: {self.victim}{stays}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """Faults that come at the same time, of different victims, after a pause."""

    pause_seconds: float
    faults: tuple[Fault, ...]


def blows(seed: int, kinds: Sequence[Kind]) -> Iterator[Blow]:
    """All that comes, without end: equal for equal seeds and kinds.

    Every kind comes once in each round, in an order of chance, so that a short run sees all of them.
    """
    chance = random.Random(seed)
    while True:
        for kind in chance.sample(list(kinds), len(kinds)):
            faults = [_fault(kind, chance)]
            if chance.random() < _TOGETHER:
                other = _fault(chance.choice(list(kinds)), chance)
                faults += [other] if other.victim != faults[0].victim else []
            yield Blow(pause_seconds=chance.uniform(*_PAUSE_SECONDS), faults=tuple(faults))


def _fault(kind: Kind, chance: random.Random) -> Fault:
    span = _SECONDS.get(kind)
    return Fault(
        kind=kind,
        victim=chance.choice(_VICTIMS[kind]),
        seconds=round(chance.uniform(*span), 2) if span else 0.0,
    )
