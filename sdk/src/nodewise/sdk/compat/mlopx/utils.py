"""The module that scripts of mlopx import `ModelDetails` from."""

from nodewise.sdk.compat.mlopx.details import ModelDetails

__all__ = ["ModelDetails"]
