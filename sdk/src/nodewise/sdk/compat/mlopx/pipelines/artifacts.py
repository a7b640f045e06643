"""The module that components of mlopx import their types from."""

from nodewise.sdk.compat.mlopx.artifacts import InputDataset, InputModel, OutputDataset, OutputModel

__all__ = ["InputDataset", "InputModel", "OutputDataset", "OutputModel"]
