"""Compiled pipelines by content. Writer: api."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

# One that is there is held until the transaction ends, so that retention leaves it to the run that is about to name it.
_INSERT = text("""
WITH known AS (SELECT digest FROM pipeline_specs WHERE digest = :digest FOR KEY SHARE)
INSERT INTO pipeline_specs (digest, ir, platforms)
SELECT :digest, :ir, :platforms WHERE NOT EXISTS (SELECT FROM known) ON CONFLICT DO NOTHING
""").bindparams(bindparam("ir", type_=JSONB), bindparam("platforms", type_=JSONB))

_SPECS = text("SELECT digest, ir, platforms FROM pipeline_specs WHERE digest = ANY(:digests)")


def compiled_specs(
    connection: Connection, digests: Iterable[str]
) -> Mapping[str, tuple[Mapping[str, object], Mapping[str, object]]]:
    """The IR and its platforms section by digest."""
    rows = connection.execute(_SPECS, {"digests": sorted(digests)})
    return {row.digest: (row.ir, row.platforms) for row in rows}


def insert_spec(
    connection: Connection, digest: str, ir: Mapping[str, object], platforms: Mapping[str, object]
) -> None:
    """Keep a compiled pipeline, unless it is there already."""
    connection.execute(_INSERT, {"digest": digest, "ir": dict(ir), "platforms": dict(platforms)})
