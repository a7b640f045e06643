"""Submits pipelines to a running stack and follows them: `Client` and the `Run` it returns."""

from nodewise.sdk.client.errors import ApiError, NoSuchFile, NotReachable, RunFailed
from nodewise.sdk.client.http import Client
from nodewise.sdk.client.run import Run
from nodewise.sdk.client.schedules import Schedule
from nodewise.sdk.discovery import NoStack
from nodewise.sdk.models import Event

__all__ = [
    "ApiError",
    "Client",
    "Event",
    "NoStack",
    "NoSuchFile",
    "NotReachable",
    "Run",
    "RunFailed",
    "Schedule",
]
