"""Says whether the configured KFP and its nodes can be used: `python -m nodewise.core.engine.kubeflow.check`; 0 if so."""

import sys
from collections.abc import Callable

from nodewise.core.engine.kubeflow.configured import kfp_client, kubernetes_nodes
from nodewise.core.errors import NodewiseError
from nodewise.core.settings import Settings, read_settings


def check(settings: Settings, say: Callable[[str], object]) -> bool:
    """Ask KFP for its version and Kubernetes for its nodes; nothing is changed there."""
    client = kfp_client(settings)
    if client is None:
        say("no Kubeflow Pipelines is configured: set NODEWISE_KFP_URL")
        return False
    nodes = kubernetes_nodes(settings)
    try:
        say(f"Kubeflow Pipelines at {settings.kfp_url} answers, version {client.version() or 'unknown'}")
        say(f"Kubernetes names {len(nodes.nodes())} nodes")
    except (NodewiseError, OSError, ValueError) as error:
        say(f"cannot be used: {error}")
        return False
    finally:
        client.close()
        nodes.close()
    return True


def main() -> int:
    """The exit code."""
    return 0 if check(read_settings(), lambda line: sys.stdout.write(f"{line}\n")) else 1


if __name__ == "__main__":
    sys.exit(main())
