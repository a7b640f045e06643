"""The small parts of the agent: outputs, cache, logs, environment, options."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.agent import options
from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.logs import AttemptLog, capped
from nodewise.agent.outputs import LIMIT_BYTES, OutputError, clean, collect, convert
from nodewise.agent.staging import environment
from nodewise.core.errors import StoreError
from nodewise.core.model.component import Artifact, ContainerWork, Parameter, PythonWork, Signature, ValueKind
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from nodewise.core.store import ArtifactStore

KEY = AttemptKey(run_id=RunId("run"), path=TaskPath("train"), attempt=1)


def a_job(outputs: Mapping[str, ValueKind] | None = None, artifacts: tuple[str, ...] = ()) -> Job:
    return Job(
        key=KEY,
        run_name="run",
        component="step",
        work=PythonWork(source="", function="step"),
        signature=Signature(
            output_parameters={name: Parameter(kind=kind) for name, kind in (outputs or {}).items()},
            output_artifacts={name: Artifact(schema_title="system.Model") for name in artifacts},
        ),
        resources=Resources(millicores=2500),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[AttemptFolder]:
    folder = AttemptFolder(tmp_path / "attempt")
    folder.create()
    yield folder
    temporary = folder.temporary.readlink()
    folder.remove()
    assert not temporary.exists()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "store").as_uri())


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3.0, ValueKind.NUMBER_INTEGER, 3),
        (2**70, ValueKind.NUMBER_INTEGER, 2**70),
        (3, ValueKind.NUMBER_DOUBLE, 3.0),
        (True, ValueKind.BOOLEAN, True),
        ("", ValueKind.STRING, ""),
        ([], ValueKind.LIST, []),
        ({"a": [1]}, ValueKind.STRUCT, {"a": [1]}),
    ],
)
def test_outputs_become_their_declared_type(value: object, kind: ValueKind, expected: object) -> None:
    assert convert("x", value, kind) == expected
    assert type(convert("x", value, kind)) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3.5, ValueKind.NUMBER_INTEGER),
        (True, ValueKind.NUMBER_INTEGER),
        ("3", ValueKind.NUMBER_DOUBLE),
        (1, ValueKind.STRING),
        (None, ValueKind.STRING),
        (float("nan"), ValueKind.NUMBER_DOUBLE),
        (float("inf"), ValueKind.NUMBER_INTEGER),
        ("a\0b", ValueKind.STRING),
        ([float("inf")], ValueKind.LIST),
        ({"a": "\ud800"}, ValueKind.STRUCT),
    ],
)
def test_outputs_of_another_type_are_refused_by_name(value: object, kind: ValueKind) -> None:
    with pytest.raises(OutputError, match="'loss'"):
        convert("loss", value, kind)


@given(
    st.recursive(
        st.none() | st.floats() | st.text(st.characters()) | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_clean_values_are_strict_json(value: object) -> None:
    json.dumps(clean(value), allow_nan=False).encode("utf-8")
    assert "\\u0000" not in json.dumps(clean(value))


def test_parameters_may_be_written_to_their_paths(folder: AttemptFolder, store: ArtifactStore) -> None:
    folder.parameter("text").write_text("3")
    folder.parameter("number").write_text("3")
    kinds = {"text": ValueKind.STRING, "number": ValueKind.NUMBER_INTEGER}
    assert collect(a_job(kinds), folder, store).parameters == {"text": "3", "number": 3}


def test_a_parameter_file_that_is_no_json_is_refused(folder: AttemptFolder, store: ArtifactStore) -> None:
    folder.parameter("n").write_text("three")
    with pytest.raises(OutputError, match="is not JSON"):
        collect(a_job({"n": ValueKind.NUMBER_INTEGER}), folder, store)


def executor_left(folder: AttemptFolder, **artifact: object) -> None:
    left = {"artifacts": {"model": {"artifacts": [{"name": "model", "metadata": {}, **artifact}]}}}
    folder.executor_output.write_text(json.dumps(left))


def test_an_artifact_may_lie_where_the_code_says(
    folder: AttemptFolder, store: ArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text("weights")
    executor_left(folder, uri=str(tmp_path / "elsewhere"))
    ref = collect(a_job(artifacts=("model",)), folder, store).artifacts["model"]
    assert store.get_bytes(ref.uri) == b"weights"
    assert ref.size_bytes == 7


def test_an_artifact_on_another_storage_keeps_its_address(
    folder: AttemptFolder, store: ArtifactStore
) -> None:
    executor_left(folder, uri="s3://bucket/model", metadata={"acc": float("inf")})
    ref = collect(a_job(artifacts=("model",)), folder, store).artifacts["model"]
    assert ref.uri == "s3://bucket/model"
    assert ref.metadata == {"acc": "inf"}


def test_too_large_parameters_are_refused(folder: AttemptFolder, store: ArtifactStore) -> None:
    folder.executor_output.write_text(json.dumps({"parameterValues": {"x": "a" * LIMIT_BYTES}}))
    with pytest.raises(OutputError, match="use an artifact"):
        collect(a_job({"x": ValueKind.STRING}), folder, store)


def test_the_environment_is_clean_and_the_mark_stays_ours(folder: AttemptFolder) -> None:
    base = {"PATH": "/bin", "REDIS_URL": "secret", "PYTHONPATH": "/x", "LANG": "de", "DATABASE_URL": "secret"}
    env = environment(a_job(), folder, {"LANG": "C", "NODEWISE_ATTEMPT": "x"}, base)
    assert "secret" not in env.values()
    assert env["PATH"] == "/bin"
    assert env["PYTHONPATH"] == "/x"
    assert env["LANG"] == "C"
    assert env["OMP_NUM_THREADS"] == "2"
    assert env["NODEWISE_ATTEMPT"] == str(folder.root)


def test_the_cache_gives_copies_and_outlives_the_store(tmp_path: Path, store: ArtifactStore) -> None:
    cache = ArtifactCache(store, tmp_path / "cache", limit_mib=1)
    uri = store.put_bytes(b"rows")
    cache.stage(uri, tmp_path / "one")
    (tmp_path / "one").write_bytes(b"spoiled")
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            path.unlink()
    cache.stage(uri, tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"rows"


def test_the_cache_drops_what_was_used_longest_ago(tmp_path: Path, store: ArtifactStore) -> None:
    cache = ArtifactCache(store, tmp_path / "cache", limit_mib=1)
    uris = [store.put_bytes(bytes([n]) * 400_000) for n in range(3)]
    for age, uri in enumerate(uris):
        cache.stage(uri, tmp_path / f"copy-{age}")
        for path in (tmp_path / "cache").iterdir():
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
    kept = {path.name.removeprefix("file-") for path in (tmp_path / "cache").iterdir()}
    assert kept == {uri.rpartition("/")[2] for uri in uris[1:]}
    assert (tmp_path / "copy-0").stat().st_size == 400_000


def test_the_cache_takes_what_is_larger_than_itself_without_keeping_it(
    tmp_path: Path, store: ArtifactStore
) -> None:
    cache = ArtifactCache(store, tmp_path / "cache", limit_mib=1)
    cache.stage(store.put_bytes(b"x" * (2 << 20)), tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == 2 << 20
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_finds_what_an_earlier_life_left(tmp_path: Path, store: ArtifactStore) -> None:
    uri = store.put_bytes(b"rows")
    ArtifactCache(store, tmp_path / "cache", limit_mib=1).stage(uri, tmp_path / "one")
    (tmp_path / "cache" / ".x.partial").write_text("half")
    empty = ArtifactStore((tmp_path / "empty").as_uri())
    ArtifactCache(empty, tmp_path / "cache", limit_mib=1).stage(uri, tmp_path / "two")
    assert [path.name[:5] for path in (tmp_path / "cache").iterdir()] == ["file-"]


def test_a_large_log_keeps_head_and_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"begin" + b"." * 1000 + b"end")
    text = capped(path, 100).decode()
    assert text.startswith("begin")
    assert text.endswith("end")
    assert "908 bytes left out here (limit 100 bytes)" in text
    assert capped(path, 2000) == path.read_bytes()


def test_a_log_is_stored_when_it_has_grown_and_its_turn_has_come(tmp_path: Path) -> None:
    writes: list[bytes] = []

    class Recording(ArtifactStore):
        def write_key(self, key: str, data: bytes) -> None:
            writes.append(data)

    path = tmp_path / "log"
    log = AttemptLog(Recording(tmp_path.as_uri()), path, key="logs/x", limit_mib=1)
    log.ship(0.0)
    path.write_bytes(b"a")
    log.ship(1.0)
    path.write_bytes(b"ab")
    log.ship(1.5)
    log.ship(2.5)
    log.ship(9.0)
    assert writes == [b"a", b"ab"]
    log.finish()
    assert writes == [b"a", b"ab"]


def test_a_log_that_could_not_be_stored_is_tried_again(tmp_path: Path) -> None:
    class Failing(ArtifactStore):
        fails = True
        stored = 0

        def write_key(self, key: str, data: bytes) -> None:
            if self.fails:
                raise StoreError("away")
            self.stored += 1

    store = Failing(tmp_path.as_uri())
    (tmp_path / "log").write_bytes(b"a")
    log = AttemptLog(store, tmp_path / "log", key="logs/x", limit_mib=1)
    log.ship(0.0)
    store.fails = False
    log.ship(5.0)
    assert store.stored == 1


@pytest.mark.parametrize(
    ("machine", "name"),
    [("x86_64", "amd64"), ("AMD64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")],
)
def test_architectures_have_the_names_of_images(machine: str, name: str) -> None:
    assert options.architecture(machine) == name


def test_cores_are_numbers_and_ranges_that_we_have() -> None:
    first = options.usable_cores()[0]
    assert options.parse_cores(f"{first},{first}-{first}") == (first,)
    for text in ("", "a", "1-", "0-100000", "-1"):
        with pytest.raises(options.OptionError, match="--cores"):
            options.parse_cores(text)


def test_cores_that_we_do_not_have_are_told_in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "usable_cores", lambda: (0, 1, 2, 5))
    with pytest.raises(options.OptionError) as refused:
        options.parse_cores("0-99")
    assert str(refused.value) == "--cores '0-99': this machine gives us 0-2,5, not 3-4,6-99"
    for text in ("0-99999999999", "3-1"):
        with pytest.raises(options.OptionError, match="give numbers"):
            options.parse_cores(text)


def test_labels_are_pairs() -> None:
    assert options.parse_labels(["a=1", "b=", "c=d=e"]) == {"a": "1", "b": "", "c": "d=e"}
    for text in ("a", "=b"):
        with pytest.raises(options.OptionError, match="give key=value"):
            options.parse_labels([text])


def test_a_node_measures_what_is_not_said() -> None:
    node = options.node_from(
        "n", capacity=Resources(millicores=3500, memory_mib=1), node_class=None, described={}, labels={}
    )
    assert node.architecture == options.architecture()
    assert node.worker_type == "med-cpu"
    assert node.node_class == f"{node.architecture}-4c"


def test_a_node_without_anything_to_offer_is_refused() -> None:
    with pytest.raises(options.OptionError, match="to offer"):
        options.node_from("n", capacity=Resources(millicores=1), node_class=None, described={}, labels={})


def test_who_names_a_broker_serves_metrics_where_the_broker_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = options.settings_for(
        "redis://127.0.0.1:6399/0", "memory://x", metrics_port=None, advertise=None
    )
    assert settings.redis_url == "redis://127.0.0.1:6399/0"
    assert settings.host == "127.0.0.1"
    assert settings.metrics_port > 0
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6399/0")
    plain = options.settings_for(None, "memory://x", metrics_port=None, advertise=None)
    assert (plain.metrics_port, plain.store_url) == (0, "memory://x")


def test_the_password_of_a_broker_need_not_stand_in_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("secret\n")
    monkeypatch.setenv("NODEWISE_REDIS_PASSWORD_FILE", str(tmp_path / "password"))
    settings = options.settings_for(
        "redis://127.0.0.1:6399/0", "memory://x", metrics_port=None, advertise=None
    )
    assert settings.redis_url == "redis://:secret@127.0.0.1:6399/0"


def test_a_container_leaves_what_lies_in_its_folder_and_nothing_else(
    folder: AttemptFolder, store: ArtifactStore, tmp_path: Path
) -> None:
    """It sees less than the agent that reads what it left."""
    secret = tmp_path / "secret"
    secret.write_text("of the agent")
    job = in_container(a_job(artifacts=("model",)))
    for place in (str(secret), "/proc/self/environ", "../../secret"):
        executor_left(folder, uri=place)
        with pytest.raises(OutputError, match="leads out of the attempt's folder"):
            collect(job, folder, store)
    (folder.work / "mine").write_text("weights")
    executor_left(folder, uri="mine")
    assert store.get_bytes(collect(job, folder, store).artifacts["model"].uri) == b"weights"


def test_a_container_cannot_make_a_folder_of_its_outputs_lead_elsewhere(
    folder: AttemptFolder, store: ArtifactStore
) -> None:
    place = folder.parameter("environ").parent
    shutil.rmtree(place)
    place.symlink_to("/proc/self")
    with pytest.raises(OutputError, match="leads out of the attempt's folder"):
        collect(in_container(a_job({"environ": ValueKind.STRING})), folder, store)


def in_container(job: Job) -> Job:
    return replace(job, work=ContainerWork(image="busybox", command=(), args=()))
