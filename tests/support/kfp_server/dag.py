"""The submitted DAG as KFP's backend has Argo run it: drivers, executors, loops, conditions, exit handlers, retries.

Each part is a generator that is resumed until it waits. Names of nodes are those that KFP's compiler gives them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.kfp_server.behaviour import Behave, Execution
from tests.support.kfp_server.conditions import holds
from tests.support.kfp_server.executors import CHANNEL, DRIVER, Executors
from tests.support.kfp_server.pods import ArgoNode, PodRecord, Steps, Tree

_EMPTY = {
    "STRING": "", "NUMBER_INTEGER": 0, "NUMBER_DOUBLE": 0.0, "BOOLEAN": False, "LIST": [], "STRUCT": {},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a part ended, in Argo's words, and its output parameters."""

    phase: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class Scope:
    """A DAG that runs: where its nodes are, its inputs, its tasks and what has become of them."""

    path: str
    inputs: Mapping[str, Any]
    tasks: Mapping[str, Any]
    results: dict[str, Result] = field(default_factory=dict)


class Interpreter:
    """Runs the IR of one workflow. `kept` are the outputs of tasks that ended well, by path: a retry keeps them."""

    def __init__(self, ir: Mapping[str, Any], *, executors: Executors, tree: Tree, behave: Behave) -> None:
        self._ir = ir
        self._components = ir.get("components", {})
        self._executors = executors
        self._tree = tree
        self._behave = behave
        self.kept: dict[str, Mapping[str, Any]] = {}

    def root(self, parameters: Mapping[str, Any]) -> Steps:
        """The whole pipeline, to its phase."""
        top = self._tree.begin(self._tree.workflow, kind="DAG", template="entrypoint")
        found = yield from self._driven("root", self._tree.workflow, self._ir["root"], parameters)
        self._tree.end(top, found.phase)
        return found.phase

    def _driven(self, key: str, path: str, component: Mapping[str, Any], inputs: Mapping[str, Any]) -> Steps:
        """A DAG after its driver."""
        if not (yield from self._driver(f"{path}.{key}-driver")):
            return Result(phase="Failed")
        return (yield from self._dag(f"{path}.{key}", component, _with_defaults(component, inputs)))

    def _driver(self, name: str, template: str = "system-dag-driver") -> Steps:
        known = self._tree.nodes.get(name)
        if known is not None and known.phase == "Succeeded":
            return True
        node = self._tree.begin(name, kind="Pod", template=template, phase="Pending")
        bound = yield from self._tree.bind(node, DRIVER)
        return bool(bound and (yield from self._tree.run(node, 0.0, None)))

    def _dag(self, path: str, component: Mapping[str, Any], inputs: Mapping[str, Any]) -> Steps:
        node = self._tree.begin(path, kind="DAG", template=path.rpartition(".")[2])
        scope = Scope(path=path, inputs=inputs, tasks=component["dag"].get("tasks", {}))
        going = {key: self._task(key, scope) for key in sorted(scope.tasks)}
        while going:
            for key, steps in list(going.items()):
                found = _resume(steps)
                if found is not None:
                    scope.results[key] = found
                    self._tree.changes += 1
                    del going[key]
            if going:
                yield
        phase = "Failed" if any(r.phase == "Failed" for r in scope.results.values()) else "Succeeded"
        self._tree.end(node, phase)
        return Result(phase=phase, outputs=_outputs(component, scope))

    def _task(self, key: str, scope: Scope) -> Steps:
        task = scope.tasks[key]
        needed = _needed(task)
        while not needed <= set(scope.results):
            yield
        path, exits = scope.path, _is_exit(task)
        if exits and task.get("dependentTasks"):
            path = f"{path}.{task['dependentTasks'][-1]}.onExit"
            self._tree.begin(path, kind="DAG", template=f"exit-hook-{key}")
        elif any(scope.results[name].phase != "Succeeded" for name in needed):
            return self._omitted(f"{path}.{key}")
        found = yield from self._begun(key, path, task, _inputs(task, scope))
        if exits and path != scope.path:
            self._tree.end(self._tree.nodes[path], found.phase)
        return found

    def _omitted(self, name: str) -> Result:
        for suffix in ("-driver", ""):
            node = self._tree.begin(name + suffix, kind="Skipped", template="")
            self._tree.end(node, "Omitted", "omitted: depends condition not met")
        return Result(phase="Omitted")

    def _skipped(self, name: str) -> Result:
        node = self._tree.begin(name, kind="Skipped", template="")
        self._tree.end(node, "Skipped", "when 'false != false' evaluated false")
        return Result(phase="Skipped")

    def _begun(self, key: str, path: str, task: Mapping[str, Any], inputs: Mapping[str, Any]) -> Steps:
        component = self._components[task["componentRef"]["name"]]
        if "parameterIterator" in task:
            return (yield from self._loop(key, path, task, inputs))
        inputs = _as_declared(component, _with_defaults(component, inputs))
        label = component.get("executorLabel")
        if label is not None and self._executors.is_importer(label):
            ok = yield from self._driver(f"{path}.{key}", "system-importer")
            return Result(phase="Succeeded" if ok else "Failed")
        template = "system-dag-driver" if label is None else "system-container-driver"
        if not (yield from self._driver(f"{path}.{key}-driver", template)):
            return Result(phase="Failed")
        if not _wanted(task, inputs):
            return self._skipped(f"{path}.{key}")
        if label is None:
            return (yield from self._dag(f"{path}.{key}", component, inputs))
        return (yield from self._leaf(key, path, task, inputs))

    def _loop(self, key: str, path: str, task: Mapping[str, Any], inputs: Mapping[str, Any]) -> Steps:
        component = self._components[task["componentRef"]["name"]]
        node = self._tree.begin(f"{path}.{key}", kind="DAG", template=f"{key}-iterator")
        if not (yield from self._driver(f"{node.name}.iteration-driver")):
            self._tree.end(node, "Failed")
            return Result(phase="Failed")
        if not _wanted(task, inputs):
            self._skipped(f"{node.name}.iteration-iterations")
            self._tree.end(node, "Succeeded")
            return Result(phase="Succeeded")
        results = yield from self._iterations(node.name, component, list(_bodies(task, inputs)), _limit(task))
        phase = "Failed" if any(r.phase == "Failed" for r in results) else "Succeeded"
        self._tree.end(node, phase)
        names = component.get("outputDefinitions", {}).get("parameters", {})
        gathered = {name: [r.outputs[name] for r in results if name in r.outputs] for name in names}
        return Result(phase=phase, outputs=gathered)

    def _iterations(
        self, path: str, component: Mapping[str, Any], bodies: Sequence[Mapping[str, Any]], limit: int
    ) -> Steps:
        group = self._tree.begin(f"{path}.iteration-iterations", kind="TaskGroup", template="")
        done: dict[int, Result] = {}
        going: dict[int, Steps] = {}
        waiting = list(range(len(bodies)))
        while waiting or going:
            while waiting and len(going) < (limit or len(bodies)):
                index = waiting.pop(0)
                going[index] = self._iteration(
                    f"{path}.iteration-iterations({index}:{index})", component, bodies[index]
                )
            for index, steps in list(going.items()):
                found = _resume(steps)
                if found is not None:
                    done[index] = found
                    self._tree.changes += 1
                    del going[index]
            if going:
                yield
        failed = any(found.phase == "Failed" for found in done.values())
        self._tree.end(group, "Failed" if failed else "Succeeded")
        return [done[index] for index in sorted(done)]

    def _iteration(self, name: str, component: Mapping[str, Any], inputs: Mapping[str, Any]) -> Steps:
        node = self._tree.begin(name, kind="DAG", template="iteration")
        found = yield from self._driven("iteration-item", name, component, inputs)
        self._tree.end(node, found.phase)
        return found

    def _leaf(self, key: str, path: str, task: Mapping[str, Any], inputs: Mapping[str, Any]) -> Steps:
        name = f"{path}.{key}"
        if name in self.kept:
            return Result(phase="Succeeded", outputs=self.kept[name])
        node = self._tree.begin(name, kind="DAG", template="system-container-executor")
        component = self._components[task["componentRef"]["name"]]
        retries = int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        executor = f"{name}.executor"
        parent = self._tree.begin(executor, kind="Retry", template="retry") if retries else None
        outputs = None
        for attempt in range(retries + 1):
            pod = f"{executor}({attempt})" if retries else executor
            execution = Execution(
                path=pod,
                task=key,
                executor=component["executorLabel"],
                inputs=inputs,
                attempt=attempt,
                node="",
            )
            outputs = yield from self._pod(execution)
            if outputs is not None or self._tree.cancelled:
                break
        return self._left(node, parent, component, outputs)

    def _left(
        self,
        node: ArgoNode,
        parent: ArgoNode | None,
        component: Mapping[str, Any],
        outputs: Mapping[str, Any] | None,
    ) -> Result:
        phase = "Failed" if outputs is None else "Succeeded"
        for one in filter(None, (parent, node)):
            self._tree.end(one, phase)
        if outputs is None:
            return Result(phase=phase)
        declared = component.get("outputDefinitions", {}).get("parameters", {})
        empty = {name: _EMPTY[spec["parameterType"]] for name, spec in declared.items()}
        self.kept[node.name] = {**empty, **outputs}
        return Result(phase=phase, outputs=self.kept[node.name])

    def _pod(self, execution: Execution) -> Steps:
        """One attempt; its outputs, or None when it failed."""
        label = execution.executor
        needs = self._executors.needs(label, execution.inputs)
        metadata = self._executors.metadata(label)
        record = PodRecord(
            path=execution.path,
            image=self._executors.image(label),
            labels=metadata.get("labels", {}),
            annotations=metadata.get("annotations", {}),
            needs=needs,
        )
        self._tree.pods.append(record)
        template = "system-container-impl"
        node = self._tree.begin(execution.path, kind="Pod", template=template, phase="Pending")
        if not (yield from self._tree.bind(node, needs)):
            return None
        begun = Execution(
            path=execution.path, task=execution.task, executor=label, inputs=execution.inputs,
            attempt=execution.attempt, node=node.host or "",
        )  # fmt: skip
        outcome = self._behave(begun)
        ok = yield from self._tree.run(node, outcome.seconds, outcome.fails)
        return outcome.outputs if ok else None


def _resume(steps: Steps) -> Result | None:
    try:
        next(steps)
    except StopIteration as end:
        found: Result = end.value
        return found
    return None


def _is_exit(task: Mapping[str, Any]) -> bool:
    return bool(task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED")


def _wanted(task: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    condition = task.get("triggerPolicy", {}).get("condition")
    return not condition or holds(condition, inputs)


def _needed(task: Mapping[str, Any]) -> set[str]:
    """The tasks that this one waits for: those it names, and those whose outputs it takes."""
    inputs = task.get("inputs", {})
    found = set(task.get("dependentTasks", ()))
    for source in [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]:
        for kind in ("taskOutputParameter", "taskOutputArtifact", "taskFinalStatus"):
            if kind in source:
                found.add(source[kind]["producerTask"])
    return found


def _inputs(task: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    sources = task.get("inputs", {}).get("parameters", {})
    values = {name: _value(source, scope) for name, source in sources.items()}
    return {name: _filled(value, values) for name, value in values.items()}


def _value(source: Mapping[str, Any], scope: Scope) -> Any:
    if "componentInputParameter" in source:
        value = scope.inputs.get(source["componentInputParameter"])
    elif "taskOutputParameter" in source:
        made = source["taskOutputParameter"]
        value = scope.results[made["producerTask"]].outputs.get(made["outputParameterKey"])
    elif "taskFinalStatus" in source:
        state = scope.results[source["taskFinalStatus"]["producerTask"]].phase
        value = {"state": "COMPLETE" if state == "Succeeded" else "FAILED"}
    else:
        value = source.get("runtimeValue", {}).get("constant")
    selector = re.search(r'\)\["([^"]+)"\]', source.get("parameterExpressionSelector", ""))
    return value[selector.group(1)] if selector and isinstance(value, dict) else value


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Text in which other inputs stand; text that is nothing else becomes that input."""
    if not isinstance(value, str):
        return value
    return CHANNEL.sub(lambda match: str(values.get(match.group(1))), value)


def _with_defaults(component: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    defaults = {name: spec["defaultValue"] for name, spec in declared.items() if "defaultValue" in spec}
    return {**defaults, **{name: value for name, value in given.items() if value is not None}}


def _as_declared(component: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: _cast(value, declared.get(name, {}).get("parameterType")) for name, value in inputs.items()}


def _cast(value: Any, kind: str | None) -> Any:
    """Text takes any value, as JSON (an item of a list of unknown things is declared as text); numbers come as doubles."""
    if kind == "STRING" and not isinstance(value, str):
        return json.dumps(value)
    return int(value) if kind == "NUMBER_INTEGER" and isinstance(value, float) else value


def _bodies(task: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The inputs of each iteration."""
    iterator = task["parameterIterator"]
    items = iterator["items"]
    values = json.loads(items["raw"]) if "raw" in items else inputs[items["inputParameter"]]
    for value in values:
        yield {**inputs, iterator["itemInput"]: value}


def _limit(task: Mapping[str, Any]) -> int:
    return int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0))


def _outputs(component: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    wanted = component["dag"].get("outputs", {}).get("parameters", {})
    found = {}
    for name, spec in wanted.items():
        one = spec.get("valueFromOneof")
        for selector in one["parameterSelectors"] if one else [spec["valueFromParameter"]]:
            outputs = scope.results[selector["producerSubtask"]].outputs
            if selector["outputParameterKey"] in outputs:
                found[name] = outputs[selector["outputParameterKey"]]
                break
    return found
