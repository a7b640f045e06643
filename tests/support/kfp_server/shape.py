"""The conventions of KFP's JSON: what is zero is absent, times that are not yet are the epoch, 64-bit integers are text."""

from datetime import UTC, datetime
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(moment: datetime | None) -> str:
    """Whole seconds; the epoch for a time that is not yet."""
    return (moment or EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ")


def dense(message: dict[str, Any]) -> dict[str, Any]:
    """The message without zero enums, empty texts, lists and objects, false and zero; one level."""
    return {key: value for key, value in message.items() if value not in ("", None, False, 0, [], {})}


class ApiError(Exception):
    """An answer of the gateway that is an error: an HTTP status, gRPC's code, a message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.body = {"error": message, "code": code, "message": message, "details": []}
        super().__init__(message)


def invalid(message: str) -> ApiError:
    return ApiError(400, 3, f"Invalid input error: {message}")


def not_found(kind: str, identity: str) -> ApiError:
    return ApiError(404, 5, f"ResourceNotFoundError: {kind} {identity} not found.")


def exists(message: str) -> ApiError:
    return ApiError(409, 6, f"Already exist error: {message}")


def precondition(message: str) -> ApiError:
    return ApiError(400, 9, f"FailedPrecondition error: {message}")


def internal(message: str) -> ApiError:
    return ApiError(500, 13, f"Internal Server Error: {message}")
