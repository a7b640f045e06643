"""What our engine takes for granted of KFP's API server, asked by KFP's own clients.

The test server is held to it in `test_kfp_contract.py`, and so is a live server where KFP_URL names one. A server of
either kind is a `KfpWorld`.
"""

import contextlib
import json
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

import kfp
import kfp_server_api
import pytest
from kfp import compiler, dsl
from kfp_server_api import ApiException

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FINAL = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}


class KfpWorld(Protocol):
    url: str
    credentials: dict[str, Any]
    """Further arguments of `kfp.Client`."""

    def pass_time(self) -> None:
        """Let the server get on with its runs: turn its clock, or wait."""
        ...


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def double(n: int) -> int:
    return 2 * n


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def broken():
    raise SystemExit(3)


@dsl.pipeline(name="contract-chain")
def chain(n: int = 1):
    double(n=double(n=n).output)


@dsl.pipeline(name="contract-loop")
def loop():
    with dsl.ParallelFor([1, 2]) as n:
        double(n=n)


@dsl.pipeline(name="contract-broken")
def breaks():
    broken().set_caching_options(False)


@dsl.pipeline(name="contract-nowhere")
def nowhere():
    task = double(n=1).set_caching_options(False)
    task.platform_config["kubernetes"] = {
        "nodeSelector": {"labels": {"kubernetes.io/hostname": "no-such-node"}}
    }


class Kfp:
    """A world with a client; what it makes is deleted in the end."""

    def __init__(self, world: KfpWorld, folder: Any) -> None:
        self.world = world
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.client = kfp.Client(host=world.url, **world.credentials)
        self.api = kfp_server_api.RunServiceApi(self.client._run_api.api_client)
        self.mark = uuid.uuid4().hex[:8]
        self._folder = folder
        self.made: list[str] = []

    def ir(self, pipeline: Any) -> dict[str, Any]:
        path = self._folder / f"{pipeline.name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return self.client._create_job_config(
            params={}, pipeline_package_path=str(path), pipeline_id=None, version_id=None,
            enable_caching=None, cache_key=None, pipeline_root=None,
        ).pipeline_spec  # fmt: skip

    def post(self, pipeline: Any, *, run_id: str | None = None, name: str = "run", **parameters: Any) -> Any:
        body = kfp_server_api.V2beta1Run(
            run_id=run_id,
            display_name=f"{name}-{self.mark}",
            pipeline_spec=self.ir(pipeline),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=parameters),
        )
        made = self.api.run_service_create_run(run=body)
        self.made.append(made.run_id)
        return made

    def until(self, look: Callable[[], Any], seconds: float = 600.0) -> Any:
        """Let time pass until there is something to see."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, "nothing came of it"
            self.world.pass_time()
        return found

    def ended(self, run_id: str) -> Any:
        return self.until(lambda: run if (run := self.client.get_run(run_id)).state in FINAL else None)

    def workflow(self, run_id: str) -> dict[str, Any]:
        found = self.client._run_api.api_client.call_api(
            f"/apis/v1beta1/runs/{run_id}", "GET", response_type="object", auth_settings=["Bearer"],
            header_params={"Accept": "application/json"}, _return_http_data_only=True,
        )  # fmt: skip
        return json.loads(found["pipeline_runtime"].get("workflow_manifest") or "{}")

    def named(self, name: str, operation: Any = "EQUALS") -> str:
        predicate = {"operation": operation, "key": "display_name", "stringValue": f"{name}-{self.mark}"}
        return json.dumps({"predicates": [predicate]})

    def clean(self) -> None:
        for run_id in self.made:
            with contextlib.suppress(ApiException):
                self.client.delete_run(run_id)
        self.client._run_api.api_client.rest_client.pool_manager.clear()


class KfpContract:
    """Subclass it with a fixture `world`."""

    @pytest.fixture
    def kfp(self, world: KfpWorld, tmp_path: Any) -> Iterator[Kfp]:
        made = Kfp(world, tmp_path)
        yield made
        made.clean()

    def test_it_is_healthy(self, kfp: Kfp) -> None:
        assert kfp.client.get_kfp_healthz() is not None

    def test_a_pipeline_object_runs_to_its_end(self, kfp: Kfp) -> None:
        made = kfp.client.create_run_from_pipeline_func(
            chain, arguments={"n": 3}, run_name=f"whole-{kfp.mark}"
        )
        kfp.made.append(made.run_id)
        run = kfp.ended(made.run_id)
        assert run.state == "SUCCEEDED"
        assert run.finished_at >= run.created_at > EPOCH
        assert run.storage_state == "AVAILABLE"

    def test_a_run_keeps_the_id_that_the_client_chose_and_is_not_finished_at_first(self, kfp: Kfp) -> None:
        run_id = str(uuid.uuid4())
        made = kfp.post(chain, run_id=run_id)
        assert made.run_id == run_id
        found = kfp.client.get_run(run_id)
        assert found.run_id == run_id
        assert found.state in {"PENDING", "RUNNING", None}
        assert found.finished_at == EPOCH

    def test_a_second_post_of_an_id_is_an_error_and_leaves_one_run(self, kfp: Kfp) -> None:
        run_id = str(uuid.uuid4())
        kfp.post(chain, run_id=run_id)
        with pytest.raises(ApiException) as caught:
            kfp.post(chain, run_id=run_id)
        assert caught.value.status in {409, 500}
        assert len(kfp.client.list_runs(filter=kfp.named("run")).runs) == 1

    def test_a_run_that_is_not_there_is_404_with_its_code(self, kfp: Kfp) -> None:
        with pytest.raises(ApiException) as caught:
            kfp.client.get_run(str(uuid.uuid4()))
        assert caught.value.status == 404
        assert json.loads(caught.value.body)["code"] == 5

    def test_lists_are_paged_oldest_first_and_tell_each_run_once(self, kfp: Kfp) -> None:
        made = [kfp.post(chain, name="page").run_id for _ in range(5)]
        first = kfp.client.list_runs(page_size=2, filter=kfp.named("page"))
        seen, token = list(first.runs), first.next_page_token
        assert len(seen) == 2
        while token:
            page = kfp.client.list_runs(page_size=2, page_token=token)
            seen += page.runs
            token = page.next_page_token
        assert sorted(run.run_id for run in seen) == sorted(made)
        times = [run.created_at for run in seen]
        assert times == sorted(times)

    def test_a_filter_takes_an_operation_by_name_or_number(self, kfp: Kfp) -> None:
        kfp.post(chain, name="other")
        made = kfp.post(chain, name="wanted").run_id
        for operation in ("EQUALS", 1):
            found = kfp.client.list_runs(filter=kfp.named("wanted", operation)).runs
            assert [run.run_id for run in found] == [made]

    def test_a_filter_takes_a_list_of_states_and_a_time(self, kfp: Kfp) -> None:
        made = kfp.post(chain, name="live")
        live = {"operation": "IN", "key": "state", "string_values": {"values": ["PENDING", "RUNNING"]}}
        stamp = made.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        recent = {"operation": "GREATER_THAN_EQUALS", "key": "created_at", "timestamp_value": stamp}
        asked = json.dumps({"predicates": [live, recent]})
        found = kfp.client.list_runs(filter=asked, page_size=200).runs
        assert made.run_id in [run.run_id for run in found]
        kfp.ended(made.run_id)
        found = kfp.client.list_runs(filter=asked, page_size=200).runs or []
        assert made.run_id not in [run.run_id for run in found]

    def test_an_empty_list_is_left_out(self, kfp: Kfp) -> None:
        found = kfp.client.list_runs(filter=kfp.named("nobody"))
        assert found.runs is None
        assert not found.next_page_token

    def test_the_workflow_names_each_pod_by_a_path_and_tells_its_node(self, kfp: Kfp) -> None:
        run_id = kfp.post(loop).run_id
        assert kfp.ended(run_id).state == "SUCCEEDED"
        workflow = kfp.workflow(run_id)
        name = workflow["metadata"]["name"]
        pods = {
            node["name"]: node
            for node in workflow["status"]["nodes"].values()
            if node["type"] == "Pod" and "driver" not in node["templateName"]
        }
        (key,) = kfp.ir(loop)["root"]["dag"]["tasks"]
        path = f"{name}.root.{key}" + ".iteration-iterations({0}:{0}).iteration-item.double.executor"
        assert {path.format(index) for index in (0, 1)} <= set(pods)
        assert all(pods[path.format(index)]["phase"] == "Succeeded" for index in (0, 1))
        assert all(pods[path.format(index)]["hostNodeName"] for index in (0, 1))

    def test_task_details_do_not_tell_tasks_apart(self, kfp: Kfp) -> None:
        run_id = kfp.post(chain).run_id
        details = kfp.ended(run_id).run_details.task_details
        names = [one.display_name for one in details]
        assert {"double", "double-driver", "double-2", "root", "root-driver"} <= set(names)
        assert names.count("executor") == 2
        assert not any(one.pod_name for one in details)

    def test_a_task_that_fits_nowhere_waits_with_the_reason_and_ends_failed_when_terminated(
        self, kfp: Kfp
    ) -> None:
        run_id = kfp.post(nowhere).run_id

        def waiting() -> Any:
            nodes = kfp.workflow(run_id).get("status", {}).get("nodes", {}).values()
            return [
                n
                for n in nodes
                if n["phase"] == "Pending" and n.get("message", "").startswith("Unschedulable: ")
            ]

        (node,) = kfp.until(waiting)
        assert node["name"].endswith(".double.executor")
        assert not node.get("hostNodeName")
        kfp.client.terminate_run(run_id)
        assert kfp.ended(run_id).state == "FAILED"
        with pytest.raises(ApiException) as caught:
            kfp.client.terminate_run(run_id)
        assert caught.value.status == 400

    def test_a_failed_run_is_retried_under_its_own_id(self, kfp: Kfp) -> None:
        run_id = kfp.post(breaks).run_id
        assert kfp.ended(run_id).state == "FAILED"
        kfp.api.run_service_retry_run(run_id=run_id)
        assert kfp.client.get_run(run_id).state in {"PENDING", "RUNNING"}
        assert kfp.ended(run_id).state == "FAILED"

    def test_a_run_that_went_well_is_not_retried(self, kfp: Kfp) -> None:
        run_id = kfp.post(chain).run_id
        kfp.ended(run_id)
        with pytest.raises(ApiException):
            kfp.api.run_service_retry_run(run_id=run_id)

    def test_archiving_is_taken_back(self, kfp: Kfp) -> None:
        run_id = kfp.post(chain).run_id
        kfp.client.archive_run(run_id)
        assert kfp.client.get_run(run_id).storage_state == "ARCHIVED"
        kfp.client.unarchive_run(run_id)
        assert kfp.client.get_run(run_id).storage_state == "AVAILABLE"

    def test_a_deleted_run_is_gone(self, kfp: Kfp) -> None:
        run_id = kfp.post(chain).run_id
        kfp.client.delete_run(run_id)
        with pytest.raises(ApiException) as caught:
            kfp.client.get_run(run_id)
        assert caught.value.status == 404

    @pytest.mark.parametrize("parameters", [{"unknown": 1}, {"n": "three"}], ids=["unknown", "wrong type"])
    def test_parameters_are_checked_when_a_run_is_posted(self, kfp: Kfp, parameters: dict[str, Any]) -> None:
        with pytest.raises(ApiException) as caught:
            kfp.post(chain, **parameters)
        assert caught.value.status == 400

    def test_an_unknown_field_of_a_platform_is_refused(self, kfp: Kfp) -> None:
        spec = kfp.ir(nowhere)
        executors = spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        executors["exec-double"]["nodeName"] = "n1"
        body = kfp_server_api.V2beta1Run(display_name=f"odd-{kfp.mark}", pipeline_spec=spec)
        with pytest.raises(ApiException) as caught:
            kfp.made.append(kfp.api.run_service_create_run(run=body).run_id)
        assert caught.value.status in {400, 500}

    def test_two_experiments_cannot_share_a_name(self, kfp: Kfp) -> None:
        name = f"experiment-{kfp.mark}"
        made = kfp.client.create_experiment(name)
        assert kfp.client.create_experiment(name).experiment_id == made.experiment_id
        body = kfp_server_api.V2beta1Experiment(display_name=name)
        with pytest.raises(ApiException) as caught:
            kfp.client._experiment_api.experiment_service_create_experiment(experiment=body)
        assert caught.value.status == 409
        kfp.client.delete_experiment(made.experiment_id)

    def test_a_recurring_run_is_kept_with_its_limit_as_text(self, kfp: Kfp) -> None:
        experiment = kfp.client.create_experiment(f"recurring-{kfp.mark}")
        kfp.ir(chain)
        made = kfp.client.create_recurring_run(
            experiment_id=experiment.experiment_id, job_name=f"often-{kfp.mark}", interval_second=3600,
            pipeline_package_path=str(kfp._folder / "contract-chain.yaml"), enabled=False, max_concurrency=2,
        )  # fmt: skip
        found = kfp.client.get_recurring_run(made.recurring_run_id)
        assert found.max_concurrency == "2"
        assert found.status == "DISABLED"
        kfp.client.enable_recurring_run(made.recurring_run_id)
        assert kfp.client.get_recurring_run(made.recurring_run_id).status == "ENABLED"
        kfp.client.delete_recurring_run(made.recurring_run_id)
        kfp.client.delete_experiment(experiment.experiment_id)
