"""Pipelines of the seed system's client, mlopx 1.0.8: read as text, never executed, and written as KFP's IR with our hints."""

from nodewise.core.compat.mlopx.components import read_component
from nodewise.core.compat.mlopx.convert import convert, read_upload
from nodewise.core.compat.mlopx.metadata import Metadata, read_metadata
from nodewise.core.compat.mlopx.model import Component, Converted, Use, Volume
from nodewise.core.compat.mlopx.script import MAX_COMPONENTS
from nodewise.core.compat.mlopx.texts import MAX_TEXT_BYTES, Part, UnreadableScript

__all__ = [
    "MAX_COMPONENTS",
    "MAX_TEXT_BYTES",
    "Component",
    "Converted",
    "Metadata",
    "Part",
    "UnreadableScript",
    "Use",
    "Volume",
    "convert",
    "read_component",
    "read_metadata",
    "read_upload",
]
