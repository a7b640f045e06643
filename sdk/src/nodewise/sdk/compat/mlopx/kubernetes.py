"""What plain KFP needs besides: volumes as claims, and images with a tag."""

import copy
from collections.abc import Sequence
from typing import Any

from nodewise.core.compat.mlopx import Converted, Volume
from nodewise.sdk.compiled import CompiledPipeline


def for_kubernetes(converted: Converted, *, platform: str) -> CompiledPipeline:
    """The pipeline as mlopx would have built it for nodes of that platform."""
    pipeline_spec: dict[str, Any] = copy.deepcopy(dict(converted.pipeline_spec))
    for executor in pipeline_spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        container["image"] = container["image"].replace("{platform}", platform)
    platforms: dict[str, Any] = dict(converted.platforms)
    if converted.volumes:
        mounts = {label: {"pvcMount": _mounts(volumes)} for label, volumes in converted.volumes.items()}
        platforms["kubernetes"] = {"deploymentSpec": {"executors": mounts}}
    return CompiledPipeline(pipeline_spec=pipeline_spec, platform_spec={"platforms": platforms})


def _mounts(volumes: Sequence[Volume]) -> list[dict[str, Any]]:
    return [
        {
            "constant": volume.claim,
            "mountPath": volume.path,
            "pvcNameParameter": {"runtimeValue": {"constant": volume.claim}},
        }
        for volume in volumes
    ]
