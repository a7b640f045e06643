from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """An amount of CPU (thousandths of a core), memory (MiB) and whole GPUs."""

    millicores: int = 0
    memory_mib: int = 0
    gpus: int = 0

    def __post_init__(self) -> None:
        for name in ("millicores", "memory_mib", "gpus"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def fits_in(self, room: "Resources") -> bool:
        """Whether every amount is at most what `room` has."""
        return (
            self.millicores <= room.millicores
            and self.memory_mib <= room.memory_mib
            and self.gpus <= room.gpus
        )

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            millicores=self.millicores + other.millicores,
            memory_mib=self.memory_mib + other.memory_mib,
            gpus=self.gpus + other.gpus,
        )

    def minus(self, other: "Resources") -> Self:
        """What is left, never below zero (a node may shrink under its bookings)."""
        return type(self)(
            millicores=max(0, self.millicores - other.millicores),
            memory_mib=max(0, self.memory_mib - other.memory_mib),
            gpus=max(0, self.gpus - other.gpus),
        )
