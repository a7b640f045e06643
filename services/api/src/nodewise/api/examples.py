"""What stands as an example in the OpenAPI document: a submission that is accepted as it is."""

from typing import Final

from pydantic.config import JsonDict

_SOURCE: Final = """\
from kfp.dsl import *

def load(samples: int) -> int:
    print(f"{samples} samples")
    return samples
"""

PIPELINE: Final[JsonDict] = {
    "pipelineInfo": {"name": "wine"},
    "schemaVersion": "2.1.0",
    "root": {
        "inputDefinitions": {"parameters": {"samples": {"parameterType": "NUMBER_INTEGER"}}},
        "dag": {
            "tasks": {
                "load": {
                    "taskInfo": {"name": "load"},
                    "componentRef": {"name": "comp-load"},
                    "inputs": {"parameters": {"samples": {"componentInputParameter": "samples"}}},
                }
            }
        },
    },
    "components": {
        "comp-load": {
            "executorLabel": "exec-load",
            "inputDefinitions": {"parameters": {"samples": {"parameterType": "NUMBER_INTEGER"}}},
            "outputDefinitions": {"parameters": {"Output": {"parameterType": "NUMBER_INTEGER"}}},
        }
    },
    "deploymentSpec": {
        "executors": {
            "exec-load": {
                "container": {
                    "image": "python:3.11",
                    "command": [
                        "sh",
                        "-ec",
                        'python3 -m kfp.dsl.executor_main --component_module_path "$0" "$@"',
                        _SOURCE,
                    ],
                    "args": ["--executor_input", "{{$}}", "--function_to_execute", "load"],
                }
            }
        }
    },
}
"""One task with one parameter, as KFP's compiler writes it, without what is there only for KFP's own container."""

PARAMETERS: Final[JsonDict] = {"samples": 1000}
