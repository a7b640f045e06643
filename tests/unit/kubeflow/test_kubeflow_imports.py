"""Whoever only may need KFP does not pay for its client."""

import subprocess
import sys


def test_the_clients_of_kfp_and_kubernetes_are_imported_when_they_are_needed() -> None:
    modules = ["engine", "following", "kubernetes_api", "client", "placement"]
    lines = [f"import nodewise.core.engine.kubeflow.{name}" for name in modules]
    check = "import sys; print(sorted({'kfp_server_api', 'kubernetes', 'urllib3', 'kfp.client'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", "; ".join([*lines, check])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
