"""A container's resources as KFP writes them: what is booked for a task, and what its process may use."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.guard import at
from nodewise.core.model import quantities
from nodewise.core.model.component import ResourceTexts
from nodewise.core.model.resources import Resources

DEFAULT_RESOURCES: Final = Resources(millicores=1000, memory_mib=256)
_MAX_GPUS: Final = 10_000
_PLACEHOLDER: Final = "{{$"


class Quantities:
    """A container's resources: the text form first, then KFP's deprecated numbers; requests before limits."""

    def __init__(self, message: Any, path: str) -> None:
        self._message = message
        self._path = path

    def booked(self) -> Resources:
        """What is booked for the task: its request, else its limit, else a default."""
        cpu = self._cpu("request") if self._has("cpu", "request") else self._cpu("limit")
        memory = self._memory("request") if self._has("memory", "request") else self._memory("limit")
        return Resources(
            millicores=DEFAULT_RESOURCES.millicores if cpu is None else cpu,
            memory_mib=DEFAULT_RESOURCES.memory_mib if memory is None else memory,
            gpus=self._gpus(),
        )

    def memory_limit_mib(self) -> int | None:
        return self._memory("limit")

    def accelerator(self) -> str | None:
        """The kind of accelerator: `nvidia.com/gpu` is a `gpu`, other types keep their last part."""
        path = at(self._path, "accelerator.type")
        config = self._message.accelerator
        text = self._plain_text(config.resource_type or config.type, path)
        return text.rsplit("/", 1)[-1] or None if self._gpus() else None

    def _gpus(self) -> int:
        config = self._message.accelerator
        if not (config.type or config.resource_type):
            return 0
        path = at(self._path, "accelerator.resourceCount")
        text = self._plain_text(config.resource_count, path) or str(config.count or 1)
        if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= _MAX_GPUS):
            raise InvalidPipeline(path, "must be a whole number of accelerators")
        return int(text)

    def _has(self, what: str, bound: str) -> bool:
        message = self._message
        return bool(getattr(message, f"resource_{what}_{bound}") or getattr(message, f"{what}_{bound}"))

    def _cpu(self, bound: str) -> int | None:
        return self._amount("cpu", bound, quantities.millicores, quantities.cores_to_millicores)

    def _memory(self, bound: str) -> int | None:
        return self._amount("memory", bound, quantities.mebibytes, quantities.gigabytes_to_mebibytes)

    def _amount(
        self, what: str, bound: str, of_text: Callable[[str], int], of_number: Callable[[float], int]
    ) -> int | None:
        if not self._has(what, bound):
            return None
        path = at(self._path, f"resource{what.title()}{bound.title()}")
        text = self._plain_text(getattr(self._message, f"resource_{what}_{bound}"), path)
        try:
            return of_text(text) if text else of_number(getattr(self._message, f"{what}_{bound}"))
        except ValueError as error:
            raise InvalidPipeline(path, str(error)) from error

    def _plain_text(self, text: str, path: str) -> str:
        if _PLACEHOLDER in text:
            raise UnsupportedFeature(path, "an amount from a parameter", "write the amount itself")
        return str(text)


def resource_texts(resources: ResourceTexts) -> Iterator[str]:
    """Every amount that is written as text."""
    yield resources.resource_cpu_limit
    yield resources.resource_memory_limit
    yield resources.resource_cpu_request
    yield resources.resource_memory_request
    accelerator = resources.accelerator
    yield from (accelerator.type, accelerator.resource_type, accelerator.resource_count)
