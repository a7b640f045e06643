"""KFP's own messages of a pipeline spec: `messages.pb`.

They are a distribution of their own, but in KFP's package, which imports Kubernetes' client: more than a second, for each service.
So where both are installed, the file is loaded by its path, under the name by which KFP finds it too.
"""

import sys
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kfp.pipeline_spec import pipeline_spec_pb2 as pb

_DISTRIBUTION: Final = "kfp-pipeline-spec"
_MODULE: Final = "kfp.pipeline_spec.pipeline_spec_pb2"


def _loaded() -> ModuleType:
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    file = distribution(_DISTRIBUTION).locate_file(_MODULE.replace(".", "/") + ".py")
    spec = spec_from_file_location(_MODULE, str(file))
    if spec is None or spec.loader is None:
        raise ImportError(f"{_DISTRIBUTION} has no {file}", name=_MODULE)
    module = module_from_spec(spec)
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_MODULE]
        raise
    return module


if not TYPE_CHECKING:
    pb = _loaded()

__all__ = ["pb"]
