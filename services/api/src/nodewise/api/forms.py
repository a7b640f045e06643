"""Multipart forms, read within limits: what is beyond them is refused before it is looked at."""

from dataclasses import dataclass, field

from fastapi import Request
from starlette.datastructures import UploadFile

from nodewise.api.problems import Problem, invalid

_MAX_FIELD_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class FormFile:
    """One file of a form, as it was sent."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields and files by name, each in the order in which they were sent."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[FormFile]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The one field of that name.

        Raises:
            Problem: 422, it is missing, there several times, or a file.
        """
        values = self.fields.get(name, [])
        if len(values) != 1:
            raise invalid(f"body.{name}", _wrong("field of text", len(values)))
        return values[0]

    def file(self, name: str) -> FormFile:
        """The one file of that name.

        Raises:
            Problem: 422, it is missing, there several times, or no file.
        """
        files = self.files.get(name, [])
        if len(files) != 1:
            raise invalid(f"body.{name}", _wrong("file", len(files)))
        return files[0]

    def some(self, name: str) -> list[FormFile]:
        """The files of that name, at least one.

        Raises:
            Problem: 422, there is none.
        """
        files = self.files.get(name)
        if not files:
            raise invalid(f"body.{name}", _wrong("file", 0))
        return files


def _wrong(what: str, count: int) -> str:
    return f"a {what} is required" if count == 0 else f"one {what} is wanted, got {count}"


async def read_form(request: Request, *, max_files: int, max_fields: int) -> Form:
    """The form in a request's body.

    Raises:
        Problem: 415, it is no multipart form.
        HTTPException: 400, it is malformed, or has more parts than that.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        said = f"not {media_type[:100]!r}" if media_type else "and the request names none"
        raise Problem(
            status=415,
            kind="unsupported-media-type",
            detail=f"the content type must be multipart/form-data, {said}",
        )
    form = Form()
    try:
        parts = request.form(max_files=max_files, max_fields=max_fields, max_part_size=_MAX_FIELD_BYTES)
        async with parts as parsed:
            for name, value in parsed.multi_items():
                if isinstance(value, UploadFile):
                    file = FormFile(value.filename or "", await value.read())
                    form.files.setdefault(name, []).append(file)
                else:
                    form.fields.setdefault(name, []).append(value)
    except ValueError as error:
        # Its parser lets a few of Python's own through, such as an encoding that is none.
        raise Problem(status=400, kind="bad-request", detail="the form is malformed") from error
    return form
