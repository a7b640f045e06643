"""The gateway: validates submissions, writes each in one transaction, answers questions. Runs nobody's code."""

from nodewise.api.app import create_api

__all__ = ["create_api"]
