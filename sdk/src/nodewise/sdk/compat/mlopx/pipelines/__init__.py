"""The module that scripts of mlopx import their classes from."""

from nodewise.sdk.compat.mlopx.component import Component
from nodewise.sdk.compat.mlopx.pipeline import Pipeline

__all__ = ["Component", "Pipeline"]
