"""Compiled pipelines by content. Writer: api."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, text

# One that is there is held until the transaction ends, so that retention leaves it to the run that is about to name it.
INSERT_SPEC: Final = """
known AS (SELECT digest FROM pipeline_specs WHERE digest = :digest FOR KEY SHARE),
spec_born AS (
INSERT INTO pipeline_specs (digest, ir, platforms)
SELECT :digest, CAST(:ir AS jsonb), CAST(:platforms AS jsonb) WHERE NOT EXISTS (SELECT FROM known) ON CONFLICT DO NOTHING
)"""
"""Parts of a WITH. `ir` and `platforms` are JSON."""
_INSERT = text("WITH " + INSERT_SPEC + " SELECT")

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
    connection.execute(_INSERT, {"digest": digest, "ir": json.dumps(ir), "platforms": json.dumps(platforms)})
