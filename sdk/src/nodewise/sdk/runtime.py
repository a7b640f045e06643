"""What a task's own code may ask for while it runs on a node. Imports nothing heavy."""

import os
from pathlib import Path
from typing import Final

from nodewise.core.errors import NodewiseError

DATASET_VARIABLE: Final = "NODEWISE_DATASET"


class NoDataset(NodewiseError):
    """No data set was staged for this process."""

    def __init__(self) -> None:
        super().__init__(
            f"{DATASET_VARIABLE} is not set: dataset_path() works inside a task that names a registered data set "
            f"(@task(dataset=...)); elsewhere set {DATASET_VARIABLE} to a file or a folder"
        )


def dataset_path() -> Path:
    """Where the data set that the task named is on this node.

    Raises:
        NoDataset: outside a task, or in one that names no registered data set.
    """
    path = os.environ.get(DATASET_VARIABLE)
    if not path:
        raise NoDataset
    return Path(path)
