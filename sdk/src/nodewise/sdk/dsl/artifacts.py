"""Artifacts as a task function sees them, and the marks that say which way they go.

On a node the objects are KFP's own; these have the same attributes, so a task can be called in a unit test without kfp.
"""

from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

IN_MARK: Final = "nodewise.in"
OUT_MARK: Final = "nodewise.out"


class Artifact:
    """A file or a folder that travels between tasks.

    `path` is where the task reads or writes it (text, as in KFP); `metadata` is kept with it.
    """

    def __init__(
        self,
        name: str | None = None,
        uri: str | Path | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.name = name or ""
        self.uri = str(uri or "")
        self.metadata: dict[str, Any] = dict(metadata or {})

    @property
    def path(self) -> str:
        return self.uri

    @path.setter
    def path(self, path: str | Path) -> None:
        self.uri = str(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, uri={self.uri!r}, metadata={self.metadata!r})"


class Dataset(Artifact):
    """Data that a task reads or writes."""


class Model(Artifact):
    """A trained model. `framework` names what trained it."""

    @property
    def framework(self) -> str:
        return str(self.metadata.get("framework", ""))

    @framework.setter
    def framework(self, name: str) -> None:
        self.metadata["framework"] = name


class Metrics(Artifact):
    """Figures by name, kept as the artifact's metadata."""

    def log_metric(self, metric: str, value: float) -> None:
        self.metadata[metric] = value


_A = TypeVar("_A")
In = Annotated[_A, IN_MARK]
"""`data: In[Dataset]`: the task reads it; `models: In[list[Model]]`: it reads all of them."""
Out = Annotated[_A, OUT_MARK]
"""`model: Out[Model]`: the task writes it. In a container task also `rows: Out[int]`: it writes the value to `rows.path`."""

ARTIFACTS: Final[tuple[type[Artifact], ...]] = (Artifact, Dataset, Model, Metrics)
"""What may stand in `In[...]` and `Out[...]`; KFP knows all of them by the same name."""
