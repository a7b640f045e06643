"""A pipeline: components, wired by the names of their artifacts."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nodewise.core.compat.mlopx import Converted, convert, read_metadata
from nodewise.core.errors import InvalidPipeline
from nodewise.sdk.client.http import Client
from nodewise.sdk.client.run import Run
from nodewise.sdk.compat.mlopx.component import Component
from nodewise.sdk.compat.mlopx.kubernetes import for_kubernetes
from nodewise.sdk.compiled import CompiledPipeline


class Pipeline:
    """Components and what is known of them. An input artifact comes from the output argument of the same name."""

    def __init__(self, name: str, metadata_file: str | os.PathLike[str]) -> None:
        """Describe a pipeline.

        Args:
            name: of the pipeline and its runs.
            metadata_file: the JSON file with component types, data set and model, relative to the working folder.
        """
        self.name = name
        self.metadata_file = metadata_file
        self.components: list[Component] = []

    def add(self, components: Sequence[Component]) -> None:
        """Add components to the pipeline."""
        self.components.extend(components)

    def compile(self) -> CompiledPipeline:
        """What is submitted: KFP's IR with hints.

        Raises:
            UnreadableScript: an argument or artifact does not fit; names file and line.
            InvalidPipeline: there is no such metadata file.
        """
        converted = self._converted()
        return CompiledPipeline(
            pipeline_spec=dict(converted.pipeline_spec),
            platform_spec={"platforms": dict(converted.platforms)},
        )

    def notes(self) -> tuple[str, ...]:
        """What is left out or taken otherwise than mlopx takes it, such as volumes."""
        return self._converted().notes

    def write_for_kfp(self, path: str | os.PathLike[str], *, platform: str) -> Path:
        """Write a file for plain KFP: volumes as claims, and the platform (such as `amd64`) as the tag of images.

        Returns:
            The path.
        """
        return for_kubernetes(self._converted(), platform=platform).write(Path(path))

    def submit(self, server_url: str | None = None, **options: Any) -> Run:
        """Submit the pipeline, and print the answer as mlopx does.

        Args:
            server_url: of the gateway; None: NODEWISE_URL, else the stack in this folder or above.
            options: what `Client.submit` takes besides, such as `priority` or `deadline`.

        Returns:
            The run. Unlike mlopx's, a submission that fails raises.

        Raises:
            ApiError: The API refused it; says the field and the rule.
            NotReachable: No answer.
        """
        notes = self.notes()
        run = Client(server_url).submit(self.compile(), name=options.pop("name", self.name), **options)
        answer = {
            "status": "success",
            "message": f"accepted; see /v1/runs/{run.id}",
            "pipeline_id": run.id,
            "notes": list(notes),
        }
        sys.stdout.write(json.dumps(answer, indent=4) + "\n")
        return run

    def _converted(self) -> Converted:
        try:
            metadata = Path(self.metadata_file).read_bytes()
        except OSError as error:
            raise InvalidPipeline(str(self.metadata_file), f"cannot be read: {error.strerror}") from error
        uses = [component.as_use() for component in self.components]
        return convert(self.name, uses, read_metadata(metadata))
