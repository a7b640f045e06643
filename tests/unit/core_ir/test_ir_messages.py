"""KFP's messages come without the rest of KFP, and are KFP's own for whoever imports that later."""

import subprocess
import sys

import pytest

PROGRAMS = {
    "nothing of Kubernetes": """
import sys, nodewise.core.ir
assert not [name for name in sys.modules if name.startswith("kubernetes") or name == "kfp"]
""",
    "before KFP": """
import nodewise.core.ir
from nodewise.core.ir.messages import pb
import kfp
from kfp.pipeline_spec import pipeline_spec_pb2
import kfp.pipeline_spec.pipeline_spec_pb2 as again
assert pb is pipeline_spec_pb2 is again
assert callable(kfp.Client) and callable(kfp.dsl.pipeline)
""",
    "after KFP": """
from kfp.pipeline_spec import pipeline_spec_pb2
from nodewise.core.ir.messages import pb
assert pb is pipeline_spec_pb2
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_messages_are_loaded_once_and_alone(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
