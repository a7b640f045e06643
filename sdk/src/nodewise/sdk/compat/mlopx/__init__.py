"""The classes of the seed system's client, mlopx 1.0.8: a script of it runs here with its import lines changed.

    from nodewise.sdk.compat.mlopx import Component, Pipeline

Pipelines are compiled here, on the client, to KFP's IR, and submitted like any other; the answer is a run to wait for.
"""

from nodewise.sdk.compat.mlopx.artifacts import InputDataset, InputModel, OutputDataset, OutputModel
from nodewise.sdk.compat.mlopx.component import Component
from nodewise.sdk.compat.mlopx.details import ModelDetails
from nodewise.sdk.compat.mlopx.pipeline import Pipeline

__all__ = [
    "Component",
    "InputDataset",
    "InputModel",
    "ModelDetails",
    "OutputDataset",
    "OutputModel",
    "Pipeline",
]
