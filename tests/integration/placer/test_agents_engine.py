import base64
import json
from datetime import UTC, datetime

import redis

from nodewise.core.engine.agents import KEYS_PER_MESSAGE, AgentsEngine
from nodewise.core.jobfiles import read_job
from nodewise.core.messages import FORGET_JOBS, START_JOBS, CancelJobs, ForgetJobs, StartJobs
from nodewise.core.messaging.app import create_app
from nodewise.core.model.component import PythonWork
from nodewise.core.model.ids import AttemptKey, NodeName, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.settings import Settings
from nodewise.core.store import ArtifactStore
from tests.support.builders import run_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
N1, N2 = NodeName("n1"), NodeName("n2")


def key(path: str) -> AttemptKey:
    return AttemptKey(run_id=run_id(), path=TaskPath(path), attempt=1)


def job(path: str) -> Job:
    work = PythonWork(source="def f(): pass", function="f")
    return Job(key=key(path), run_name="run", component=path, work=work)


def messages(settings: Settings, node: str) -> list[tuple[str, dict[str, object]]]:
    """Name and body of every message that waits for a node."""
    with redis.Redis.from_url(settings.redis_url) as client:
        raw = [json.loads(item) for item in client.lrange(f"agent.{node}", 0, -1)]
    return [
        (item["headers"]["task"], json.loads(base64.b64decode(item["body"]))[0][0]) for item in reversed(raw)
    ]


def make(settings: Settings) -> AgentsEngine:
    return AgentsEngine(create_app("test", settings), ArtifactStore(settings.store_url))


def test_jobs_lie_in_the_store_and_each_node_gets_one_message_for_all_its_own(settings: Settings) -> None:
    uris = make(settings).start([(N1, job("a")), (N2, job("b")), (N1, job("c"))], now=NOW)
    [(name, body)] = messages(settings, "n1")
    asked = StartJobs.model_validate(body)
    assert name == START_JOBS
    assert [ref.key.path for ref in asked.jobs] == ["a", "c"]
    store = ArtifactStore(settings.store_url)
    stored = [read_job(store, ref.job_uri, ref.key) for ref in asked.jobs]
    assert stored == [job("a"), job("c")]
    assert uris[key("a")] == asked.jobs[0].job_uri
    assert len(messages(settings, "n2")) == 1


def test_starting_twice_stores_a_job_once(settings: Settings) -> None:
    engine = make(settings)
    assert engine.start([(N1, job("a"))], now=NOW) == engine.start([(N1, job("a"))], now=NOW)


def test_cancel_and_forget_go_to_the_nodes_named(settings: Settings) -> None:
    engine = make(settings)
    engine.cancel({N1: [key("a")]})
    engine.forget({N2: [key("b")], N1: []})
    [(_, cancelled)], [(forgot, body)] = messages(settings, "n1"), messages(settings, "n2")
    assert CancelJobs.model_validate(cancelled).keys == (key("a"),)
    assert forgot == FORGET_JOBS
    assert ForgetJobs.model_validate(body).keys == (key("b"),)


def test_many_keys_are_split_over_messages(settings: Settings) -> None:
    keys = [key(f"t{index}") for index in range(KEYS_PER_MESSAGE + 1)]
    make(settings).forget({N1: keys})
    sizes = [len(ForgetJobs.model_validate(body).keys) for _, body in messages(settings, "n1")]
    assert sizes == [KEYS_PER_MESSAGE, 1]


def test_a_broker_that_is_away_fails_nothing(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    engine = AgentsEngine(create_app("test", away), ArtifactStore(settings.store_url))
    assert engine.start([(N1, job("a"))], now=NOW).keys() == {key("a")}
