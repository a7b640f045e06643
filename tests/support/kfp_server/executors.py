"""What the IR and its platform section say of an executor, as Kubernetes would be asked."""

import re
from collections.abc import Mapping
from typing import Any

from nodewise.core.model.quantities import mebibytes, millicores
from tests.support.kfp_server.cluster import Needs

CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
"""A placeholder for an input."""

DRIVER = Needs(millicores=100, memory_mib=64)

KNOWN_FIELDS = frozenset(
    {
        "secretAsVolume", "secretAsEnv", "pvcMount", "nodeSelector", "podMetadata", "imagePullSecret",
        "imagePullPolicy", "configMapAsVolume", "configMapAsEnv", "activeDeadlineSeconds", "fieldPathAsEnv",
        "tolerations", "genericEphemeralVolume", "nodeAffinity", "podAffinity", "enabledSharedMemory",
        "emptyDirMounts", "securityContext",
    }
)  # fmt: skip


class Executors:
    """The deployment config of one pipeline. Unknown fields of the platform are refused, as by the real server."""

    def __init__(self, ir: Mapping[str, Any], platforms: Mapping[str, Any]) -> None:
        self._specs = ir.get("deploymentSpec", {}).get("executors", {})
        section = platforms.get("kubernetes", {}).get("deploymentSpec", {})
        self._platform: Mapping[str, Any] = section.get("executors", {})
        for label, config in self._platform.items():
            for name in config:
                if name not in KNOWN_FIELDS:
                    raise ValueError(f'unknown field "{name}" of executor {label}')

    def is_importer(self, label: str) -> bool:
        return "importer" in self._specs[label]

    def image(self, label: str) -> str:
        return str(self._specs[label].get("container", {}).get("image", ""))

    def metadata(self, label: str) -> Mapping[str, Any]:
        return dict(self._platform.get(label, {}).get("podMetadata", {}))

    def needs(self, label: str, inputs: Mapping[str, Any]) -> Needs:
        """The needs of a pod; a selector that is a parameter replaces the plain labels."""
        config = self._platform.get(label, {})
        resources = self._specs[label].get("container", {}).get("resources", {})
        selector = config.get("nodeSelector", {})
        parameter = selector.get("nodeSelectorJson", {}).get("componentInputParameter")
        labels = inputs.get(parameter) if parameter else selector.get("labels", {})
        return Needs(
            millicores=millicores(_amount(resources, inputs, "resourceCpuRequest", "resourceCpuLimit")),
            memory_mib=mebibytes(_amount(resources, inputs, "resourceMemoryRequest", "resourceMemoryLimit")),
            gpus=int(resources.get("accelerator", {}).get("resourceCount") or 0),
            selector=labels or {},
            affinity=tuple(config.get("nodeAffinity", ())),
            tolerations=tuple(config.get("tolerations", ())),
        )


def _amount(found: Mapping[str, Any], inputs: Mapping[str, Any], *names: str) -> str:
    """The first of these that is given; it may be an input."""
    text = next((str(found[name]) for name in names if found.get(name)), "0")
    return CHANNEL.sub(lambda match: str(inputs[match.group(1)]), text)
