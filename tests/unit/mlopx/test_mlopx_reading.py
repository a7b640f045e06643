"""Pipelines of mlopx become IR that our reader takes, with the seed's wiring and the metadata as hints."""

import json
from typing import Any

import kfp
import pytest
from kfp import components as kfp_components

from nodewise.core.compat.mlopx import Converted, Part, UnreadableScript, read_component
from nodewise.core.compat.mlopx.ir import KFP
from nodewise.core.estimates.effort import effort_flops
from nodewise.core.ir import read_program
from nodewise.core.ir.specs import task_spec
from nodewise.core.ir.tree import FromStep, Leaf
from nodewise.core.model.component import PythonWork
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.task import DataKind, TaskKind
from tests.support import mlopx_scripts as scripts
from tests.support.mlopx_scripts import COMPONENTS, read

ONE = "from mlopx.pipelines.artifacts import OutputDataset\n\ndef make(out: OutputDataset):\n    pass\n"
HEAD = "from mlopx.pipelines import Component, Pipeline\nfrom make import make\n"
TAIL = "pipeline = Pipeline(name='p', metadata_file='m.json')\npipeline.add([c])\npipeline.submit('u')\n"


def leaves(converted: Converted) -> dict[str, Leaf]:
    program = read_program(converted.pipeline_spec, converted.platforms)
    return {step.name: step.component for step in program.root.steps if isinstance(step.component, Leaf)}


def work(converted: Converted, task: str) -> PythonWork:
    found = leaves(converted)[task].work
    assert isinstance(found, PythonWork)
    return found


def small(text: str, **changes: Any) -> Converted:
    """A pipeline of one component."""
    return read(script=HEAD + text + TAIL, components={"make": ONE, **changes.pop("others", {})}, **changes)


def source_of(component: str, *, name: str = "make", **others: str) -> str:
    """What of a component's file travels to a node."""
    converted = read(
        script=HEAD + "c = Component('i', make)\n" + TAIL, components={name: component, **others}
    )
    return work(converted, name).source


def test_an_input_artifact_comes_from_the_output_argument_of_the_same_name() -> None:
    converted = read()
    program = read_program(converted.pipeline_spec, converted.platforms)
    wires = {
        (step.name, name): (source.step, source.output)
        for step in program.root.steps
        for name, source in step.artifacts.items()
        if isinstance(source, FromStep)
    }
    assert wires == {
        ("model-training", "train_ds"): ("data-preprocessing", "train_ds"),
        ("model-evaluation", "test_ds"): ("data-preprocessing", "test_ds"),
        ("model-evaluation", "model_artifact"): ("model-training", "model_artifact"),
    }
    assert [step.name for step in program.root.steps] == [
        "data-preprocessing",
        "model-training",
        "model-evaluation",
    ]


def test_arguments_are_constants_and_results_are_outputs() -> None:
    converted = read()
    tasks: Any = converted.pipeline_spec["root"]
    parameters = tasks["dag"]["tasks"]["data-preprocessing"]["inputs"]["parameters"]
    assert parameters == {"dataset_path": {"runtimeValue": {"constant": "/mnt/datasets/line/points.csv"}}}
    assert set(leaves(converted)["model-evaluation"].signature.output_parameters) == {"Output"}


def test_the_image_gets_the_platform_of_its_node_as_mlopx_gives_it() -> None:
    assert work(read(), "model-training").image == "registry.localhost/kfp_base:{platform}"
    tagged = small("c = Component('localhost:5000/a/b:1.2', make)\n")
    assert work(tagged, "make").image == "localhost:5000/a/b:1.2"


def test_metadata_of_a_linear_regression_become_hints() -> None:
    found = {name: leaf.hints for name, leaf in leaves(read()).items()}
    kinds = {name: hints.kind for name, hints in found.items()}
    assert kinds == {
        "data-preprocessing": TaskKind.PREPROCESSING,
        "model-training": TaskKind.TRAINING,
        "model-evaluation": TaskKind.EVALUATION,
    }
    samples = {name: hints.dataset.samples for name, hints in found.items() if hints.dataset}
    assert samples == {"data-preprocessing": 500, "model-training": 320, "model-evaluation": 80}
    names = {name: hints.dataset.name for name, hints in found.items() if hints.dataset}
    assert names == {"data-preprocessing": "line", "model-training": None, "model-evaluation": None}
    model = found["model-training"].model
    assert model is not None
    assert (model.type, model.parameters) == ("linear_regression", {"solver": "ols"})
    assert found["data-preprocessing"].model is None


def test_metadata_of_a_cnn_become_hints_that_efforts_are_estimated_from() -> None:
    converted = read(metadata=scripts.CNN)
    hints = leaves(converted)["model-training"].hints
    assert hints.dataset is not None
    assert (hints.dataset.kind, hints.dataset.features, hints.dataset.samples) == (DataKind.IMAGES, 784, 750)
    assert hints.model is not None
    assert hints.model.parameters == {
        "epochs": 7, "batch_size": 32, "filters": [32, 64], "dense": [128], "kernel_size": 3, "channels": 1,
    }  # fmt: skip
    program = read_program(converted.pipeline_spec, converted.platforms)
    specs = [
        task_spec(step, step.component, path=TaskPath(step.name))
        for step in program.root.steps
        if isinstance(step.component, Leaf)
    ]
    efforts = {spec.kind: effort_flops(spec) for spec in specs}
    assert all(efforts.values())
    assert (efforts[TaskKind.TRAINING] or 0) > 10 * (efforts[TaskKind.EVALUATION] or 0)


def test_a_dense_network_keeps_its_hidden_layers() -> None:
    dense = [
        {"type": "Dense", "input_shape": [8], "output_shape": [16]},
        {"type": "Dropout"},
        {"type": "Dense", "input_shape": [16], "output_shape": [3]},
        "nonsense",
    ]
    model = {"type": "NN", "parameters": {"layers": dense, "n_iter": 5, "extra": {"deep": 1}}}
    hints = leaves(read(metadata={**scripts.LINEAR, "model": model}))["model-training"].hints
    assert hints.model is not None
    assert (hints.model.type, hints.model.parameters) == ("nn", {"layers": [16], "max_iter": 5})


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("a", "out: OutputModel", TaskKind.TRAINING),
        ("b", "out: OutputDataset", TaskKind.PREPROCESSING),
        ("c", "n: int = 1", TaskKind.OTHER),
    ],
)
def test_a_type_that_mlopx_lost_on_the_way_follows_from_the_arguments(
    name: str, arguments: str, kind: TaskKind
) -> None:
    component = f"from mlopx.pipelines.artifacts import *\n\ndef {name}({arguments}):\n    pass\n"
    script = (HEAD + f"c = Component('i', {name})\n" + TAIL).replace(
        "from make import make", f"from {name} import {name}"
    )
    converted = read(script=script, components={name: component})
    assert leaves(converted)[name].hints.kind is kind
    assert any(str(kind) in note for note in converted.notes)


def test_a_type_that_nobody_knows_counts_as_other_and_is_noted() -> None:
    metadata = {**scripts.LINEAR, "components_type": {"model-training": "magic"}}
    converted = read(metadata=metadata)
    assert leaves(converted)["model-training"].hints.kind is TaskKind.OTHER
    assert any("'magic'" in note for note in converted.notes)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"dataset": []}, "metadata.dataset"),
        ({"dataset": {"type": "audio"}}, "metadata.dataset.type"),
        ({"dataset": {"original": {"n_samples": -1}}}, "metadata.dataset.original.n_samples"),
        ({"dataset": {"original": {"n_samples": 1.5}}}, "metadata.dataset.original.n_samples"),
        ({"dataset": {"original": {"input_shape": [1, "x"]}}}, "input_shape"),
        ({"dataset": {"train_percentage": 80, "original": {"n_samples": 1}}}, "train_percentage"),
        ({"dataset": {"name": 5}}, "metadata.dataset.name"),
        ({"model": {"type": 7}}, "metadata.model.type"),
        ({"components_type": {"a": 1}}, "metadata.components_type.a"),
    ],
)
def test_metadata_that_make_no_sense_are_refused_with_their_place(change: dict[str, Any], where: str) -> None:
    with pytest.raises(UnreadableScript) as refused:
        read(metadata={**scripts.LINEAR, **change})
    assert refused.value.part is Part.METADATA
    assert where in str(refused.value)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a": NaN', b"\xff", b"[" * 100_000, b'{"a": 1e999}'])
def test_metadata_that_are_no_json_object_are_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableScript) as refused:
        read(metadata=raw)
    assert refused.value.part is Part.METADATA


@pytest.mark.parametrize(
    "text",
    [
        "c = Component('i', make)\n",
        "c = Component(image='i', func=make, args=None)\n",
        "c: Component = Component(func=make, image='i', args={})\n",
        "R = 'i'\nIMAGE = f'{R}/x'\nc = Component(IMAGE + '-y', make)\n",
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('-u')\nargs = parser.parse_args()\nc = Component('i', make)\n",
        "print('hello')\nimport os\nx = os.environ.get('X')\nc = Component('i', make)\n",
        "for n in range(3):\n    total = n\nc = Component('i', make)\n",
        "def helper():\n    return 1\nc = Component('i', make)\n",
        "if __name__ == '__main__':\n    c = Component('i', make)\n",
        "print(Component)\na = c = Component('i', make)\n",
    ],
)
def test_straight_scripts_are_read(text: str) -> None:
    assert set(leaves(small(text))) == {"make"}


def test_other_ways_to_import_are_followed() -> None:
    script = (
        "import mlopx.pipelines as m\nimport make\n"
        "p = m.Pipeline('p', 'm.json')\np.add([m.Component('i', make.make)])\np.submit('u')\n"
    )
    assert set(leaves(read(script=script, components={"make": ONE}))) == {"make"}


def test_values_are_joined_from_names_but_not_computed() -> None:
    component = ONE.replace("(out", "(a: str, b: list, c: dict, out")
    args = "{'a': f'{X}-{N}', 'b': [X, 1, True, None], 'c': {'k': [N]}}"
    script = f"X = 'x'\nN = 4\nc = Component('i', make, {args})\n"
    converted = read(script=HEAD + script + TAIL, components={"make": component})
    root: Any = converted.pipeline_spec["root"]
    given = root["dag"]["tasks"]["make"]["inputs"]["parameters"]
    values = {name: item["runtimeValue"]["constant"] for name, item in given.items()}
    assert values == {"a": "x-4", "b": ["x", 1, True, None], "c": {"k": [4]}}


LOOP = "cs = []\nfor f in [make]:\n    cs.append(Component('i', f))\n"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (LOOP, 5, "for"),
        ("cs = [Component('i', f) for f in (make,)]\n", 3, "expression"),
        ("c = Component(name(), make)\n", 3, "the image must be a literal"),
        ("c = Component('i' * 3, make)\n", 3, "computed"),
        ("c = Component('i', *[make])\n", 3, "`*`"),
        ("c = Component(**{'image': 'i'})\n", 3, "`**`"),
        ("c = Component('i', make, {}, 1)\n", 3, "too many"),
        ("c = Component('i', make, func=make)\n", 3, "twice"),
        ("c = Component('i')\n", 3, "'func' is missing"),
        ("c = Component('i', lambda: 1)\n", 3, "func must be"),
        ("def local():\n    pass\nc = Component('i', local)\n", 5, "func must be"),
        ("from other import make\nc = Component('i', make)\n", 4, "make.py"),
        ("from .make import make\n", 3, "relative"),
        ("from mlopx.pipelines.component import *\nfrom make import *\n", 4, "by name"),
        ("c = Component('i', make, {'a': open('x')})\n", 3, "args must be a literal"),
        ("c = Component('i', make, [1])\n", 3, "dict"),
        ("c = Component('i', make)\nc.image = 'j'\n", 4, "changed"),
        ("c = Component('i', make)\nc.convert('amd64')\n", 4, "convert"),
        ("c = Component('i', make)\ntune(c)\n", 4, "call with components"),
        ("c = Component('i', make)\nx = tune(c) or 1\n", 4, "expression"),
        ("c = Component('i', make)\nwith lock:\n    c.mount_volume('a', '/b')\n", 5, "with"),
        ("c = Component('i', make)\nif True:\n    c = None\n", 5, "if"),
        ("c = Component('i', make)\ndel c\n", 4, "delete"),
        ("def build():\n    return Component('i', make)\nc = build()\n", 4, "function or class"),
        ("def f():\n    global c\n", 4, "global"),
        ("A = {'a': 1}\nc = Component('i', make, A)\nA['a'] = 2\n", 5, "only running shows"),
        ("A = {}\nB = A\nc = Component('i', make, B)\nA.update(x=1)\n", 6, "only running shows"),
        ("A = []\nA.append('x')\nc = Component('i', make, {'a': A})\n", 5, "args must be a literal"),
        ("c = Component('i', make).mount_volume('a', '/b')\n", 5, "something else"),
        ("c = find()\n", 5, "'c' is not known, it is what a call returns"),
        ("c = Component('i', make)\nc.mount_volume('a', mount_path=here())\n", 4, "volume's path"),
    ],
)  # fmt: skip
def test_what_only_running_shows_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(UnreadableScript) as refused:
        small(text)
    assert refused.value.part is Part.PIPELINE
    assert (refused.value.line, why in str(refused.value)) == (line, True), str(refused.value)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("", "makes no Pipeline"),
        ("x = (", "not Python"),
        ("from mlopx.pipelines import Pipeline\np = Pipeline('p', 'm')\np.submit('u')\n", "no components"),
        (HEAD + "c = Component('i', make)\n" + TAIL + TAIL, "second pipeline"),
        (HEAD + "c = Component('i', make)\n" + TAIL.replace("[c]", "[c, c]"), "twice"),
        (HEAD.replace("make", "gone") + "c = Component('i', gone)\n" + TAIL, "gone.py was not sent"),
        ("x" * 100_001, "bytes"),
        ("a = 1\n" * 1001, "statements"),
        (b"\xff\xfe", "UTF-8"),
        (b"a = 1\0", "NUL"),
        ("a = " + "-" * 5000 + "1", "not Python|parsed|deep"),
        ("a = b" + ".c" * 5000, "parsed|deep"),
        ("a = " + "(" * 300 + ")" * 300, "not Python|parsed"),
        ("a = " + "[" * 150 + "]" * 150, "makes no Pipeline"),
        ("a = 1" + " + 1" * 20_000, "parsed|deep"),
        ("a = " + "9" * 10_000, "not Python|parsed"),
    ],
)
def test_a_script_that_is_none_is_refused(script: str | bytes, why: str) -> None:
    with pytest.raises(UnreadableScript, match=why):
        read(script=script, components={"make": ONE})


DOUBLED = "a = 'xxxxxxxxxx'\n" + "a = a + a\n" * 60
NESTED = "a = [1, 2]\n" + "a = [a, a]\n" * 60


@pytest.mark.parametrize("grown", [DOUBLED, NESTED])
def test_a_value_that_doubles_on_every_line_stays_small(grown: str) -> None:
    with pytest.raises(UnreadableScript, match=r"characters or items|not a literal"):
        small(grown + "c = Component('i', make, {'a': a})\n")


@pytest.mark.parametrize(
    ("component", "line", "why"),
    [
        ("def make():\n    pass\n", None, None),
        ("@cache\ndef make():\n    pass\n", 1, "decorator"),
        ("async def make():\n    pass\n", 1, "plain function"),
        ("class make:\n    pass\n", 1, "plain function"),
        ("x = 1\n", None, "has no function"),
        ("def make():\n    pass\ndef make():\n    pass\n", 3, "twice"),
        ("def make():\n    pass\nmake = None\n", 3, "changed"),
        ("def make(a):\n    pass\n", 1, "no type"),
        ("def make(*a: int):\n    pass\n", 1, "only known when it runs"),
        ("def make(**a: int):\n    pass\n", 1, "only known when it runs"),
        ("def make(a: int, /):\n    pass\n", 1, "by name"),
        ("def make(a: Frame):\n    pass\n", 1, "the type of 'a'"),
        ("def make(a: 'int'):\n    pass\n", 1, "the type of 'a'"),
        ("def make(a: InputDataset):\n    pass\n", 1, "the type of 'a'"),
        ("def make(a: int = one()):\n    pass\n", 1, "must be a literal"),
        ("def make(a: int = 'x'):\n    pass\n", 1, "whole number"),
        ("def make(a: list = [set()]):\n    pass\n", 1, "must be a literal"),
        ("def make(a: int = 2**70):\n    pass\n", 1, "must be a literal"),
        ("def make() -> bytes:\n    pass\n", 1, "can return"),
        ("from __future__ import annotations\ndef make():\n    pass\n", 1, "__future__"),
        ("from os import *\ndef make():\n    pass\n", 1, "by name"),
        ("from . import x\ndef make():\n    return x\n", 1, "relative"),
        ("from mlopx.utils import ModelDetails\ndef make():\n    return ModelDetails\n", 1, "no mlopx"),
        ("from other import other\ndef make():\n    return other\n", 1, "another component"),
        ("def make():\n    nonlocal x\n", 2, "not Python"),
    ],
)  # fmt: skip
def test_a_component_is_read_or_refused_with_its_line(
    component: str, line: int | None, why: str | None
) -> None:
    other = "def other():\n    pass\n"
    if why is None:
        assert "def make()" in source_of(component, other=other)
        return
    with pytest.raises(UnreadableScript) as refused:
        source_of(component, other=other)
    assert refused.value.part is Part.COMPONENTS
    assert (refused.value.file, refused.value.line) == ("make.py", line)
    assert why in str(refused.value)


def test_defaults_and_optional_arguments_are_kept() -> None:
    component = "from typing import Optional, List\ndef make(a: int = 3, b: Optional[str] = None, c: 'float | None' = None):\n    pass\n"
    component = component.replace("'float | None'", "float | None")
    found = leaves(read(script=HEAD + "c = Component('i', make)\n" + TAIL, components={"make": component}))
    parameters = found["make"].signature.input_parameters
    assert {name: item.optional for name, item in parameters.items()} == {"a": True, "b": True, "c": True}
    assert parameters["a"].default == 3


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("{}", "'n' is missing"),
        ("{'n': 'x'}", "must be a whole number"),
        ("{'n': 1, 'out': 'x'}", "is an artifact"),
        ("{'n': 1e400}", "not finite"),
        ("{'n': 99999999999999999999}", "64 bits"),
        ("{'n': True}", "must be a whole number"),
    ],
)
def test_arguments_must_fit_the_function(args: str, why: str) -> None:
    component = ONE.replace("(out", "(n: int, out")
    with pytest.raises(UnreadableScript, match=why) as refused:
        read(script=HEAD + f"c = Component('i', make, {args})\n" + TAIL, components={"make": component})
    assert refused.value.line == 3


def test_an_argument_that_the_function_does_not_take_is_noted_as_left_out() -> None:
    assert any("'typo'" in note for note in small("c = Component('i', make, {'typo': 1})\n").notes)


def test_an_input_that_nobody_makes_is_refused_and_the_outputs_are_named() -> None:
    without = {name: text for name, text in COMPONENTS.items() if name != "model_training"}
    script = scripts.SCRIPT.replace("from model_training import model_training\n", "").replace(
        "component_2 = Component(\n    image=BASE_IMAGE,\n    func=model_training,\n    args={}\n)\n", ""
    )
    script = script.replace("component_1, component_2, component_3", "component_1, component_3")
    with pytest.raises(UnreadableScript, match=r"no component has an output 'model_artifact'.*train_ds"):
        read(script=script, components=without)


def test_components_that_need_each_other_are_refused() -> None:
    a = "from mlopx.pipelines.artifacts import *\ndef a(x: InputDataset, y: OutputDataset):\n    pass\n"
    b = "from mlopx.pipelines.artifacts import *\ndef b(y: InputDataset, x: OutputDataset):\n    pass\n"
    script = (
        "from mlopx.pipelines import *\nfrom a import a\nfrom b import b\n"
        "pipeline = Pipeline('p', 'm')\npipeline.add([Component('i', a), Component('i', b)])\n"
    )
    script = script.replace("import *", "import Component, Pipeline", 1)
    with pytest.raises(UnreadableScript, match="need each other"):
        read(script=script, components={"a": a, "b": b})


def test_of_two_components_with_the_same_output_the_last_added_wins_as_with_mlopx() -> None:
    two = ONE.replace("make", "two")
    use = "from mlopx.pipelines.artifacts import *\ndef use(out: InputDataset):\n    pass\n"
    script = (
        HEAD + "from two import two\nfrom use import use\nc = Component('i', make)\n"
        + TAIL.replace("[c]", "[c, Component('i', two), Component('i', use)]")
    )  # fmt: skip
    converted = read(script=script, components={"make": ONE, "two": two, "use": use})
    root: Any = converted.pipeline_spec["root"]
    assert root["dag"]["tasks"]["use"]["dependentTasks"] == ["two"]
    assert any("'out'" in note and "two" in note for note in converted.notes)


def test_what_the_script_does_besides_is_noted_with_its_lines() -> None:
    converted = small("import os\nos.system('true')\nc = Component('i', make)\n")
    assert any("not run" in note and "line 4" in note for note in converted.notes)


SURROUNDED = '''"""A component."""
import json
import os as system, sys
from math import (
    floor,
    sqrt,
)
try:
    import numpy
except ImportError:
    numpy = None
LIMIT = 3; UNUSED = 4
TABLE = {"a": LIMIT}
print("at the top")
system.remove("x")


def unused():
    return UNUSED


@wraps(sys.exit)
def helper(x):
    local = 1
    return [floor(y) for y in x][:LIMIT]


class Box(dict):
    size = TABLE


from functools import wraps


def make(rows: list) -> list:
    """Uses some of it."""
    local = unused_local = 2
    unused_local += local
    def inner():
        return helper(rows), Box, numpy
    return json.loads(json.dumps(inner()[0]))
'''


def test_the_function_travels_with_what_it_uses_and_nothing_else() -> None:
    script = HEAD + "c = Component('i', make, {'rows': [1.5, 2.5]})\n" + TAIL
    source = work(read(script=script, components={"make": SURROUNDED}), "make").source
    for needed in ("import json\n", "floor,", "import numpy", "LIMIT = 3\n", "TABLE =", "@wraps(sys.exit)\ndef helper",
                   "class Box", "import wraps", "import os as system, sys"):  # fmt: skip
        assert needed in source
    for left_out in ("UNUSED", "at the top", "system.remove", "def unused"):
        assert left_out not in source
    assert source.index("def helper") < source.index("import wraps") < source.index("def make")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from mlopx.pipelines.artifacts import OutputDataset as Out", "Out"),
        ("from mlopx.pipelines.artifacts import (\n    OutputDataset,\n    InputModel,\n)", "OutputDataset"),
        ("from nodewise.sdk.compat.mlopx import OutputDataset", "OutputDataset"),
        ("from nodewise.sdk.compat.mlopx.pipelines.artifacts import OutputDataset", "OutputDataset"),
    ],
)
def test_the_types_of_mlopx_become_those_of_kfp(line: str, names: str) -> None:
    source = source_of(f"{line}\n\ndef make(out: {names}):\n    pass\n")
    assert f"{names} = dsl.Output[dsl.Dataset]" in source
    assert "mlopx" not in source


def test_the_ir_is_one_that_kfp_itself_loads_and_that_names_the_kfp_here() -> None:
    assert kfp.__version__ == KFP
    document = json.dumps(read().pipeline_spec)
    loaded = kfp_components.load_component_from_text(document)
    assert set(loaded.pipeline_spec.root.dag.tasks) == {
        "data-preprocessing",
        "model-training",
        "model-evaluation",
    }


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(UnreadableScript, match="name"):
        read(name=name)


@pytest.mark.parametrize("name", ["wine_LR", "äöü", "a b"])
def test_a_name_is_kept_for_the_run_and_written_as_kfp_wants_it(name: str) -> None:
    converted = read(name=name)
    assert converted.name == name
    info: Any = converted.pipeline_spec["pipelineInfo"]
    assert info["name"].replace("-", "").isalnum()
    assert info["name"].isascii()


@pytest.mark.parametrize("name", ["a.b", "../x", "a-b", "", "_", "x" * 101, "ä"])
def test_a_file_that_is_not_called_like_a_function_is_refused(name: str) -> None:
    with pytest.raises(UnreadableScript) as refused:
        read_component("def f():\n    pass\n", file=f"{name}.py")
    assert refused.value.part is Part.COMPONENTS


def test_a_file_that_is_sent_but_not_used_is_named_and_not_read() -> None:
    converted = read(components={**COMPONENTS, "spare": "this is ( no Python"})
    assert any("spare.py" in note for note in converted.notes)
