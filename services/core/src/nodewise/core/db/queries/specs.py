"""Compiled pipelines by content. Reads only."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

_SPECS = text("SELECT digest, ir, platforms FROM pipeline_specs WHERE digest = ANY(:digests)")


def compiled_specs(
    connection: Connection, digests: Iterable[str]
) -> Mapping[str, tuple[Mapping[str, object], Mapping[str, object]]]:
    """The IR and its platforms section by digest."""
    rows = connection.execute(_SPECS, {"digests": sorted(digests)})
    return {row.digest: (row.ir, row.platforms) for row in rows}
