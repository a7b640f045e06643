"""What an importer leaves: a reference to what exists already."""

from typing import cast

from nodewise.core.errors import UnresolvedInput
from nodewise.core.ir.placeholders import Reference, expand
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs, Values, leads_nowhere
from nodewise.core.model.component import ImportWork, Work


def imported(work: Work, inputs: Values, *, path: str) -> TaskOutputs | None:
    """The outputs of an importer; None for anything else, which has to run first.

    Whether the address leads anywhere is not asked here, but one of our store that cannot is refused.

    Raises:
        UnresolvedInput: the address is no text, or none.
    """
    if not isinstance(work, ImportWork):
        return None
    uri = inputs.parameters.get(work.uri_input) if work.uri_input else work.uri
    if not isinstance(uri, str) or not uri:
        raise UnresolvedInput(path, work.uri_input, "the address of what is imported must be text")
    if leads_nowhere(uri):
        raise UnresolvedInput(path, work.uri_input, f"{uri[:200]!r} is no address of the artifact store")

    def found(reference: Reference) -> object:
        return inputs.parameters.get(reference.name)

    metadata = cast("dict[str, object]", expand(dict(work.metadata), found))
    artifact = ArtifactRef(name=work.output, uri=uri, schema_title=work.schema_title, metadata=metadata)
    return TaskOutputs(artifacts={work.output: artifact})
