"""A component: a function, read from the text of its file."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nodewise.core.compat.mlopx import Component as ReadComponent
from nodewise.core.compat.mlopx import Use, Volume, read_component
from nodewise.core.errors import InvalidPipeline
from nodewise.sdk.dsl.errors import Place, place_of_caller


class Component:
    """One step of a pipeline. Its function's file is read as text, and only what the function needs of it travels."""

    def __init__(self, image: str, func: Callable[..., Any], args: Mapping[str, Any] | None = None) -> None:
        """Read the component.

        Args:
            image: where its packages are, without a tag: KFP adds the platform. The agents engine ignores it.
            func: a plain function at the top level of a file.
            args: values for its plain arguments; None: it has none, or their defaults do.

        Raises:
            UnreadableScript: the function is written in a way that cannot travel; names file and line.
        """
        self.image = image
        self.func = func
        self.name = func.__name__
        self.args = dict(args or {})
        self.volumes: list[Volume] = []
        self._place = place_of_caller() or Place(file="pipeline.py")
        self._read = _read(func)

    def mount_volume(self, pvc: str, mount_path: str) -> None:
        """Say which path of the component lies on a volume; see docs/from-mlopx.md for what becomes of it."""
        place = place_of_caller()
        self.volumes.append(Volume(claim=pvc, path=mount_path, line=place.line if place else None))

    def as_use(self) -> Use:
        """The component as the compiler takes it."""
        return Use(
            component=self._read,
            image=self.image,
            arguments=self.args,
            volumes=tuple(self.volumes),
            script=Path(self._place.file).name,
            line=self._place.line,
        )


def _read(func: Callable[..., Any]) -> ReadComponent:
    try:
        file = inspect.getsourcefile(func)
        text = Path(file).read_bytes() if file else None
    except (TypeError, OSError):
        text = None
    if text is None or file is None:
        raise InvalidPipeline(repr(func)[:200], "must be a function whose source file can be read")
    return read_component(text, file=Path(file).name, function=func.__name__)
