"""The objects of a cluster: stored, labelled, counted. Everything is plain JSON, as the API has it."""

import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


class ApiError(Exception):
    """A Status that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code = code
        self.body = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        }  # fmt: skip
        super().__init__(message)


def now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """Objects of all kinds by (kind, namespace, name). `lock` is held by whoever changes what is in them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._stored: dict[tuple[str, str, str], Object] = {}
        self.version = 1
        self.history: list[tuple[int, str, str, Object]] = []
        """(version, kind, ADDED | MODIFIED | DELETED, the object)."""

    def add(self, kind: str, found: Object, namespace: str = "") -> Object:
        with self.lock:
            metadata = found.setdefault("metadata", {})
            key = (kind, namespace, metadata["name"])
            if key in self._stored:
                raise ApiError(409, "AlreadyExists", f'{kind} "{metadata["name"]}" already exists')
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", now_text())
            if namespace:
                metadata["namespace"] = namespace
            self._stored[key] = found
            self._note(kind, "ADDED", found)
            return found

    def touch(self, kind: str, found: Object) -> None:
        """It was changed."""
        with self.lock:
            self._note(kind, "MODIFIED", found)

    def remove(self, kind: str, found: Object) -> None:
        with self.lock:
            metadata = found["metadata"]
            if self._stored.pop((kind, metadata.get("namespace", ""), metadata["name"]), None) is not None:
                self._note(kind, "DELETED", found)

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        with self.lock:
            try:
                return self._stored[kind, namespace, name]
            except KeyError:
                raise ApiError(404, "NotFound", f'{kind} "{name}" not found') from None

    def has(self, kind: str, found: Object) -> bool:
        metadata = found["metadata"]
        with self.lock:
            return self._stored.get((kind, metadata.get("namespace", ""), metadata["name"])) is found

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        with self.lock:
            return [
                found
                for (of, space, _), found in sorted(self._stored.items())
                if of == kind and namespace in (None, space)
            ]

    def since(self, version: int, kind: str, fits: Callable[[Object], bool]) -> Iterator[tuple[str, Object]]:
        with self.lock:
            return iter(
                [
                    (what, copy.deepcopy(found))
                    for at, of, what, found in self.history
                    if at > version and of == kind and fits(found)
                ]
            )

    def _note(self, kind: str, what: str, found: Object) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, kind, what, copy.deepcopy(found)))
        self.changed.notify_all()


def labels_fit(selector: str | None) -> Callable[[Object], bool]:
    """A selector of equalities."""
    pairs = [part.partition("=")[::2] for part in (selector or "").split(",") if part]
    return lambda found: all(
        (found["metadata"].get("labels") or {}).get(key.rstrip("=")) == value.lstrip("=")
        for key, value in pairs
    )


def fields_fit(selector: str | None) -> Callable[[Object], bool]:
    """`a.b!=x` and `a.b=x`, several of them."""

    def fits(found: Object) -> bool:
        for part in (selector or "").split(","):
            if not part:
                continue
            path, negated, value = part.partition("!=")
            if not negated:
                path, _, value = part.partition("=")
            inner: Any = found
            for name in path.split("."):
                inner = (inner or {}).get(name)
            if (str(inner or "") == value) is bool(negated):
                return False
        return True

    return fits
