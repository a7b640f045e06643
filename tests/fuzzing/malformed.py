"""Makes malformed submissions: each breaks a rule for certain, so that none may be accepted. Pure; by a seed."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

JSON: Final = {"content-type": "application/json"}
SUBMISSIONS: Final = ("/v1/runs", "/v1/plans", "/v1/schedules")
TRICKS: Final = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "....//....//etc", "a/../../b", "..\\..\\windows", "%00", "~root",
    "file:///etc/passwd", "\u202e../x", "a\u0000b", ".", "..", "con/../x", "%252e%252e%252f", "\ud7ff/../x",
)  # fmt: skip
TEXTS: Final = (
    "",
    "\u0000",
    "\ufffe",
    "\U0010ffff",
    "\u202eabc",
    "\uff41",
    "e\u0301" * 40,
    "\u200b",
    "'; DROP TABLE runs; --",
    "{{$}}",
    "x" * 70_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """One request that must be refused. `kind` says what is wrong with it."""

    kind: str
    path: str
    content: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


Maker: TypeAlias = Callable[[Random, dict[str, Any]], Malformed]


def malformed(valid: Mapping[str, Any], *, seed: int, count: int) -> Iterator[Malformed]:
    """So many of them, of every kind in turn.

    Args:
        valid: the body of a submission that would be accepted, with one task named as in its `root.dag.tasks`.
        seed: equal seeds make equal requests.
        count: how many.
    """
    rng = Random(seed)
    for k in range(count):
        yield MAKERS[k % len(MAKERS)](rng, copy.deepcopy(dict(valid)))


def _as_json(kind: str, rng: Random, body: object) -> Malformed:
    path = rng.choice(SUBMISSIONS)
    wrapped = {"cron": "0 3 * * *", "run": body} if path == "/v1/schedules" else body
    return Malformed(kind=kind, path=path, content=json.dumps(wrapped).encode())


def _raw(kind: str, rng: Random, content: bytes, **headers: str) -> Malformed:
    return Malformed(kind=kind, path=rng.choice(SUBMISSIONS), content=content, headers={**JSON, **headers})


def _tasks(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["pipeline_spec"]["root"]["dag"]["tasks"]
    return found


def yaml_bomb(rng: Random, body: dict[str, Any]) -> Malformed:
    """Aliases that would grow to 9^levels, as a body of its own and as text inside one."""
    levels = rng.randint(8, 40)
    text = 'a0: &a0 ["x"]\n' + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, levels)
    )
    if rng.random() < 0.5:
        return _raw("yaml bomb", rng, text.encode(), **{"content-type": "application/yaml"})
    body["pipeline_spec"] = text
    return _as_json("yaml bomb", rng, body)


def cycle(rng: Random, body: dict[str, Any]) -> Malformed:
    """Tasks that wait for each other, or a component that contains itself."""
    tasks, count = _tasks(body), rng.randint(1, 30)
    (only,) = tasks.values()
    if rng.random() < 0.3:
        body["pipeline_spec"]["components"]["comp-self"] = {
            "dag": {"tasks": {"again": {"componentRef": {"name": "comp-self"}}}}
        }
        tasks["again"] = {"componentRef": {"name": "comp-self"}}
        return _as_json("cycle", rng, body)
    names = [f"t{n}" for n in range(count)]
    for n, name in enumerate(names):
        tasks[name] = {**only, "dependentTasks": [names[(n + 1) % count]]}
    return _as_json("cycle", rng, body)


def number(rng: Random, body: dict[str, Any]) -> Malformed:
    """Numbers that no column, no double and no clock can hold."""
    digits = str(rng.randint(1, 9)) * rng.choice((20, 400, 4_000, 6_000))
    at, raw = rng.choice((("priority", digits), ("priority", f"-{digits}"), ("parameters", f'{{"nothing": {digits}}}'), ("priority", f"1e{rng.randint(300, 9999)}"),
                          ("priority", "NaN"), ("name", "-Infinity"), ("deadline", digits)))  # fmt: skip
    body.pop(at, None)
    rest = json.dumps(body)[1:]
    return Malformed(kind="number", path="/v1/runs", content=f'{{"{at}": {raw}, {rest}'.encode())


def wrong_type(rng: Random, body: dict[str, Any]) -> Malformed:
    """A field of the request, or of the pipeline, that is of another type than it must be."""
    others: list[Any] = [None, True, 3, -0.5, "text", [], [[1]], {"a": {}}]
    owner, name, fitting = rng.choice((
        (body, "pipeline_spec", ()), (body, "labels", (dict,)), (body, "name", (str, type(None))), (body, "priority", (int, type(None))),
        (body["pipeline_spec"], "root", ()), (body["pipeline_spec"], "schemaVersion", ()), (body["pipeline_spec"], "components", ()),
        (body["pipeline_spec"], "deploymentSpec", ()), (body["pipeline_spec"]["pipelineInfo"], "name", (str,)),
        (body["pipeline_spec"]["root"], "dag", ()), (body["pipeline_spec"]["root"]["dag"], "tasks", ()),
    ))  # fmt: skip
    owner[name] = rng.choice([each for each in others if type(each) not in fitting])
    return _as_json("wrong type", rng, body)


def missing(rng: Random, body: dict[str, Any]) -> Malformed:
    """Something that must be there is not."""
    spec = body["pipeline_spec"]
    owner, name = rng.choice(
        (
            (body, "pipeline_spec"),
            (spec, "root"),
            (spec, "components"),
            (spec, "deploymentSpec"),
            (spec, "pipelineInfo"),
            (spec["root"], "dag"),
        )
    )
    del owner[name]
    return _as_json("missing", rng, body)


def unknown(rng: Random, body: dict[str, Any]) -> Malformed:
    """A field that nobody knows, or a reference to nothing."""
    name = rng.choice(TEXTS[1:-1]) + str(rng.randrange(10**9))
    if rng.random() < 0.5:
        body[name] = rng.randrange(9)
    else:
        _tasks(body)[f"t{rng.randrange(99)}"] = {"componentRef": {"name": name}}
    return _as_json("unknown", rng, body)


def unicode_text(rng: Random, body: dict[str, Any]) -> Malformed:
    """Text that no column can hold, or a name that is none."""
    text = rng.choice(("\u0000", "\ud800", "\udfff", "a\u0000b")) * rng.randint(1, 9)
    place = rng.choice(("name", "team", "label", "parameter", "pipeline"))
    if place == "label":
        body["labels"] = {"a": text}
    elif place == "parameter":
        body["parameters"] = {text: 1}
    elif place == "pipeline":
        body["pipeline_spec"]["pipelineInfo"]["name"] = text
    else:
        body[place] = text
    return _as_json("unicode", rng, body)


def bytes_of_no_text(rng: Random, body: dict[str, Any]) -> Malformed:
    """Not UTF-8, cut off, or no JSON at all."""
    whole = json.dumps(body).encode()
    content = rng.choice((
        rng.randbytes(rng.randint(1, 400)) + b"\xff", whole[: rng.randint(1, len(whole) - 1)], b"\xff\xfe" + whole, whole + b"}", whole.replace(b'"', b"'"),
    ))  # fmt: skip
    return _raw("no text", rng, content)


def deep(rng: Random, body: dict[str, Any]) -> Malformed:
    """Nested without end."""
    depth = rng.choice((200, 5_000, 100_000))
    left, right = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    nested = left * depth + b"1" + right * depth
    return Malformed(kind="deep", path="/v1/runs", content=b'{"pipeline_spec": ' + nested + b"}")


def many(rng: Random, body: dict[str, Any]) -> Malformed:
    """Far too many tasks, written out or by loops in loops."""
    tasks = _tasks(body)
    (only,) = tasks.values()
    if rng.random() < 0.5:
        tasks.update({f"t{n}": only for n in range(rng.randint(2_500, 6_000))})
    else:
        items = json.dumps(list(range(rng.randint(60, 200))))
        inner = {
            "inputDefinitions": {"parameters": {"i": {"parameterType": "NUMBER_INTEGER"}}},
            "dag": {"tasks": dict(tasks)},
        }
        for task in inner["dag"]["tasks"].values():  # type: ignore[attr-defined]
            task["inputs"] = {"parameters": {"samples": {"componentInputParameter": "i"}}}
        loop = {"items": {"raw": items}, "itemInput": "i"}
        spec = body["pipeline_spec"]
        spec["components"] |= {"comp-in": inner, "comp-out": {"inputDefinitions": inner["inputDefinitions"], "dag": {"tasks": {
            "in": {"componentRef": {"name": "comp-in"}, "parameterIterator": loop}}}}}  # fmt: skip
        tasks["out"] = {"componentRef": {"name": "comp-out"}, "parameterIterator": loop}
    return _as_json("many", rng, body)


def path_trick(rng: Random, body: dict[str, Any]) -> Malformed:
    """Names that would lead elsewhere if anyone made a path of them."""
    trick = rng.choice(TRICKS)
    place = rng.randrange(4)
    if place == 0:
        quoted = trick.encode("utf-8", "replace").hex("%") or "2e"
        query = "?kind=tabular"
        return Malformed(kind="path trick", method="PUT", path=f"/v1/datasets/%{quoted}{query}", content=b"a,b\n1,2\n",
                         headers={"content-type": "application/octet-stream"})  # fmt: skip
    if place == 1:
        body["platform_spec"] = {
            "platforms": {
                "nodewise": {"deploymentSpec": {"executors": {"exec-load": {"dataset": {"name": trick}}}}}
            }
        }
    elif place == 2:
        _tasks(body)[trick] = {"componentRef": {"name": trick}}
    else:
        body["strategy"] = trick
    return _as_json("path trick", rng, body)


def script(rng: Random, body: dict[str, Any]) -> Malformed:
    """The seed's endpoint: scripts that are none, bombs as metadata, names that lead elsewhere."""
    bad = rng.choice(
        (
            b"def (",
            b"\x00",
            b"import os; os.abort()",
            b"(" * 20_000,
            b"\xff\xfe",
            rng.randbytes(300) + b"\x00",
        )
    )
    metadata = rng.choice((b"{", b"[]", b'{"a": ' * 2_000, b"nonsense"))
    name = rng.choice(TRICKS[:3]).encode()
    files = {"components": bad, "metadata": metadata, "pipeline": bad}
    boundary = b"b%08x" % rng.getrandbits(32)
    parts = [b'--%s\r\nContent-Disposition: form-data; name="name"\r\n\r\n%s\r\n' % (boundary, name)]
    parts += [
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
        % (boundary, part.encode(), name, content)
        for part, content in files.items()
    ]
    return Malformed(
        kind="script", path="/submit/", content=b"".join(parts) + b"--%s--\r\n" % boundary,
        headers={"content-type": f"multipart/form-data; boundary={boundary.decode()}"},
    )  # fmt: skip


def other_content_type(rng: Random, body: dict[str, Any]) -> Malformed:
    """A valid submission in a dress that is not accepted."""
    dress = rng.choice(
        (
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/json5",
        )
    )
    return _raw("content type", rng, json.dumps(body).encode(), **{"content-type": dress})


MAKERS: Final[tuple[Maker, ...]] = (
    yaml_bomb, cycle, number, wrong_type, missing, unknown, unicode_text, bytes_of_no_text, deep, many, path_trick, script, other_content_type,
)  # fmt: skip
