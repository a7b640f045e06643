from pathlib import Path
from typing import Any

import pytest

from nodewise.stack.errors import StackError
from nodewise.stack.plan import Endpoints, Options, Planned, Site, port_names, service_stages
from nodewise.stack.probes import HttpProbe, NodeProbe
from nodewise.stack.profiles import Machine, agent_profiles

AGENTS = agent_profiles(4, Machine(cores=(0, 1), memory_mib=4000, architecture="amd64"))


def site(options: Options, **env: str) -> Site:
    return Site(
        bind=options.bind,
        home=Path("/home/u/.nodewise"),
        python="/venv/bin/python",
        env=env,
        endpoints=Endpoints(database_url="postgresql://db", redis_url="redis://r", store_url="file:///s"),
        ports={name: 9000 + number for number, name in enumerate(port_names(options, AGENTS))},
    )


def stages(options: Options, **env: str) -> list[dict[str, Planned]]:
    return [{p.name: p for p in stage} for stage in service_stages(options, site(options, **env), AGENTS)]


def test_the_schema_comes_first_then_the_services_then_the_agents() -> None:
    schema, services, agents = stages(Options(placers=2))
    assert list(schema) == ["migrate"]
    assert set(services) == {"api", "monitor", "recorder", "scheduler", "placer-1", "placer-2"}
    assert list(agents) == ["agent-n1", "agent-n2", "agent-n3", "agent-n4"]
    assert schema["migrate"].once


def test_a_carrier_starts_beside_the_agents_and_knows_kubernetes_but_not_the_record() -> None:
    given = {"NODEWISE_KUBERNETES_IMAGE": "nodewise/agent", "NODEWISE_KFP_TOKEN": "t"}
    *_, last = stages(Options(carrier=True), **given)
    carrier = last["carrier"].program
    assert carrier.argv[-1] == "nodewise.carrier"
    assert carrier.env["NODEWISE_KUBERNETES_IMAGE"] == "nodewise/agent"
    assert not {"DATABASE_URL", "NODEWISE_KFP_TOKEN"} & carrier.env.keys()
    assert "NODEWISE_KUBERNETES_IMAGE" not in last["agent-n1"].program.env


def test_every_process_gets_the_servers_its_home_and_a_port_of_its_own() -> None:
    planned = [p for stage in stages(Options(placers=3)) for p in stage.values() if not p.once]
    for process in planned:
        env = process.program.env
        assert env.get("DATABASE_URL") == (None if "agent" in process.program.name else "postgresql://db")
        assert env["REDIS_URL"] == "redis://r"
        assert env["NODEWISE_STORE_URL"] == "file:///s"
        assert env["NODEWISE_STACK"] == env["NODEWISE_HOME"] == "/home/u/.nodewise"
        assert env["_KFP_RUNTIME"] == "true"
        assert str(process.port) in (env.get("NODEWISE_PORT"), env.get("NODEWISE_METRICS_PORT"))
    assert len({process.port for process in planned}) == len(planned)


def test_the_users_environment_is_inherited_but_does_not_win() -> None:
    given = {"OMP_NUM_THREADS": "1", "NODEWISE_HOST": "0.0.0.0", "NODEWISE_LEASE_SECONDS": "5"}
    api = stages(Options(), **given)[1]["api"]
    assert api.program.env["OMP_NUM_THREADS"] == "1"
    assert api.program.env["NODEWISE_LEASE_SECONDS"] == "5"
    assert api.program.env["NODEWISE_HOST"] == "127.0.0.1"


def test_a_port_that_the_user_has_set_is_not_shared_by_all() -> None:
    services = stages(Options(), NODEWISE_PORT="80", NODEWISE_METRICS_PORT="81")[1]
    assert "NODEWISE_METRICS_PORT" not in services["api"].program.env
    assert services["scheduler"].program.env["NODEWISE_METRICS_PORT"] == str(services["scheduler"].port)
    assert "NODEWISE_PORT" not in services["scheduler"].program.env


def test_the_key_of_the_home_is_for_the_gateway_alone_and_the_users_own_for_nobody() -> None:
    given = {
        "NODEWISE_ADMIN_KEY_FILE": "/mine",
        "NODEWISE_API_KEY": "nw_mine",
        "NODEWISE_API_KEY_FILE": "/mine",
    }
    processes = {name: one for stage in stages(Options(carrier=True), **given) for name, one in stage.items()}
    assert processes["api"].program.env["NODEWISE_ADMIN_KEY_FILE"] == "/home/u/.nodewise/admin.key"
    for name, process in processes.items():
        assert "mine" not in str(process.program.env.values())
        assert name == "api" or not given.keys() & process.program.env.keys()


def test_nodes_get_their_own_keys_and_only_who_speaks_with_them_the_secret() -> None:
    given = {"NODEWISE_NODE_SECRET_FILE": "/mine", "NODEWISE_NODE_KEY_FILE": "/mine"}
    processes = {name: one for stage in stages(Options(carrier=True), **given) for name, one in stage.items()}
    secret = {name for name, one in processes.items() if "NODEWISE_NODE_SECRET_FILE" in one.program.env}
    assert secret == {"recorder", "placer-1"}
    keys = {name: one.program.env.get("NODEWISE_NODE_KEY_FILE") for name, one in processes.items()}
    assert {name: key for name, key in keys.items() if key is not None} == {
        "carrier": "/home/u/.nodewise/keys/carrier.key",
        **{f"agent-n{n}": f"/home/u/.nodewise/keys/node-n{n}.key" for n in (1, 2, 3, 4)},
    }
    assert processes["recorder"].program.env["NODEWISE_NODE_SECRET_FILE"] == "/home/u/.nodewise/node.secret"


def test_policy_and_strategy_reach_the_services_only_when_given() -> None:
    chosen = stages(Options(policy="shortest", strategy="custom"))[1]["scheduler"].program.env
    assert (chosen["NODEWISE_POLICY"], chosen["NODEWISE_STRATEGY"]) == ("shortest", "custom")
    assert "NODEWISE_POLICY" not in stages(Options())[1]["scheduler"].program.env


def test_a_file_in_the_users_folder_cannot_shadow_a_service() -> None:
    for stage in stages(Options()):
        for process in stage.values():
            assert process.program.argv[:3] == ("/venv/bin/python", "-P", "-m")


def test_an_agent_is_up_when_the_api_knows_it_as_ready() -> None:
    _, services, agents = stages(Options())
    api = f"http://127.0.0.1:{services['api'].port}"
    assert NodeProbe(api, "n3", Path("/home/u/.nodewise")) in agents["agent-n3"].probes
    assert services["api"].probes == (HttpProbe(f"{api}/readyz"),)


def test_the_arguments_of_an_agent() -> None:
    argv = stages(Options())[2]["agent-n4"].program.argv
    text = " ".join(argv)
    assert "-m nodewise.agent --name n4 " in text
    assert "--node-class sim-gpu --worker-type med-cpu --architecture amd64" in text
    assert "--accelerator gpu --gpus 1 --label simulated=true" in text
    assert text.endswith("--work-dir /home/u/.nodewise/agents/n4")


def test_agents_of_a_stack_on_all_addresses_tell_one_that_names_this_machine() -> None:
    _, services, agents = stages(Options(bind="0.0.0.0"))
    assert services["api"].program.env["NODEWISE_HOST"] == "0.0.0.0"
    assert services["api"].probes == (HttpProbe(f"http://127.0.0.1:{services['api'].port}/readyz"),)
    assert agents["agent-n1"].program.argv[-2:] == ("--advertise", "127.0.0.1")


def test_a_stack_without_agents_has_no_empty_stage() -> None:
    assert all(service_stages(Options(agents=0), site(Options()), ()))


@pytest.mark.parametrize("wrong", [{"agents": -1}, {"placers": 0}, {"port": 0}, {"port": 70000}])
def test_options_that_make_no_sense_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(StackError, match=f"--{next(iter(wrong))} is"):
        Options(**wrong)


def test_agents_do_not_learn_how_to_speak_to_other_engines() -> None:
    secrets = {
        "NODEWISE_KFP_TOKEN": "t",
        "NODEWISE_KUBERNETES_TOKEN": "u",
        "NODEWISE_DATABASE_URL": "postgresql://x",
    }
    _, services, agents = stages(Options(), **secrets)
    assert secrets.items() <= services["placer-1"].program.env.items()
    for agent in agents.values():
        assert not secrets.keys() & agent.program.env.keys()


def test_the_agents_of_a_stack_share_a_container_runtime_and_their_environments() -> None:
    agents = stages(Options(container_runtime="podman"))[2]
    assert all(planned.program.argv[-2:] == ("--container-runtime", "podman") for planned in agents.values())
    shared = {planned.program.env["NODEWISE_VENVS_DIR"] for planned in agents.values()}
    assert shared == {"/home/u/.nodewise/venvs"}


def test_a_folder_for_environments_that_was_named_stays() -> None:
    agents = stages(Options(), NODEWISE_VENVS_DIR="/fast/venvs")[2]
    assert agents["agent-n1"].program.env["NODEWISE_VENVS_DIR"] == "/fast/venvs"
