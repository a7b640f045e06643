"""The promises of docker-compose.yml that can be read from it; tests/compose runs it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if "IMAGE_PREFIX" in service["image"]}
OF_IMAGE = {name for name in OURS if SERVICES[name].get("profiles") == ["images"]}
ONCE = {"passwords", "migrate", "kfp-check", "reader"}
WITHOUT_CHECK = {*ONCE, *OF_IMAGE, "node-exporter"}
STAGES = (
    {"passwords"}, {"postgres", "redis", "prometheus"}, {"migrate"},
    {"api", "scheduler", "placer", "monitor", "recorder"}, {"agent-big", "agent-small", "agent-gpu"},
)  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_a_read_only_root_no_capabilities_and_limits(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name not in OF_IMAGE:
        assert {"mem_limit", "cpus"} <= service.keys()


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_run_as_nobody_special(name: str) -> None:
    assert SERVICES[name]["user"] == "10001:10001"
    assert "cap_add" not in SERVICES[name]


def test_only_the_servers_that_change_their_user_keep_what_that_takes() -> None:
    kept = {name: set(service["cap_add"]) for name, service in SERVICES.items() if "cap_add" in service}
    assert kept.keys() == {"postgres", "redis"}
    assert set.union(*kept.values()) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}


def test_only_the_gateway_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert {name for name in published if "profiles" not in SERVICES[name]} == {"api"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_placers_can_be_scaled() -> None:
    assert not {"container_name", "hostname", "ports"} & SERVICES["placer"].keys()
    assert not any("container_name" in service for service in SERVICES.values())


def test_each_image_of_ours_is_built_by_one_service_and_by_nobody_looked_for_elsewhere() -> None:
    images = {SERVICES[name]["image"] for name in OURS}
    built = [SERVICES[name]["image"] for name in OURS if "build" in SERVICES[name]]
    assert sorted(built) == sorted(images)
    assert all(SERVICES[name]["pull_policy"] == "never" for name in OURS if "build" not in SERVICES[name])


@pytest.mark.parametrize("name", SERVICES)
def test_what_goes_on_is_asked_for_its_health(name: str) -> None:
    service = SERVICES[name]
    checked = not service.get("healthcheck", {}).get("disable", False)
    by_image = name in OURS
    assert (name in WITHOUT_CHECK) or (checked and (by_image or "test" in service["healthcheck"]))
    assert service["restart"] == ("no" if name in ONCE | OF_IMAGE else "unless-stopped")


def test_what_starts_later_waits_for_the_health_of_what_it_needs() -> None:
    rank = {name: index for index, stage in enumerate(STAGES) for name in stage}
    for name, own in rank.items():
        for needed, how in SERVICES[name].get("depends_on", {}).items():
            assert rank[needed] < own
            assert how["condition"] == (
                "service_completed_successfully" if needed in ONCE else "service_healthy"
            )


def test_agents_reach_neither_postgres_nor_the_services() -> None:
    for name in ("agent-big", "agent-small", "agent-gpu"):
        assert SERVICES[name]["networks"] == ["nodes"]
        assert not {"DATABASE_URL", "NODEWISE_KFP_TOKEN_FILE"} & SERVICES[name]["environment"].keys()
        assert "env_file" not in SERVICES[name]
        assert not any("postgres" in volume for volume in SERVICES[name]["volumes"])
    assert {name for name, service in SERVICES.items() if "nodes" in service.get("networks", [])} == {
        "redis", "prometheus", "node-exporter", "agent-big", "agent-small", "agent-gpu",
    }  # fmt: skip


def sources(name: str) -> set[str]:
    return {volume.partition(":")[0] for volume in SERVICES[name].get("volumes", [])}


def test_an_agent_has_the_key_of_its_own_name_and_only_who_speaks_with_agents_the_secret_behind_it() -> None:
    keys = {name for name in COMPOSE["volumes"] if name.startswith("key-")}
    script = COMPOSE["configs"]["passwords"]["file"]
    assert f"for name in {' '.join(node_names())};" in (ROOT / script).read_text()
    assert keys == {f"key-{name}" for name in node_names()}
    for name in node_names():
        assert f"--name={name}" in SERVICES[f"agent-{name}"]["command"]
        assert sources(f"agent-{name}") & {*keys, "node-secret"} == {f"key-{name}"}
    assert {name for name in SERVICES if "node-secret" in sources(name)} == {
        "passwords",
        "placer",
        "recorder",
    }
    assert sources("passwords") >= keys


def node_names() -> list[str]:
    return [name.removeprefix("agent-") for name in SERVICES if name.startswith("agent-")]


def test_the_three_agents_are_unlike_each_other() -> None:
    kinds = [
        tuple(
            option
            for option in SERVICES[name]["command"]
            if re.match("--(node-class|worker-type|memory)", option)
        )
        for name in ("agent-big", "agent-small", "agent-gpu")
    ]
    assert len(set(kinds)) == 3
    for name in ("agent-big", "agent-small", "agent-gpu"):
        assert f"--advertise={name}" in SERVICES[name]["command"]
        assert f"{name}:8080" in (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()


def test_what_is_kept_lies_in_named_volumes() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            read_only = volume.endswith(":ro")
            assert source in COMPOSE["volumes"] or read_only, (name, volume)


def test_every_variable_of_the_file_is_explained_in_the_example_and_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert used == set(re.findall(r"\$\{([A-Z_]+):-", text))
    assert used <= set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize("file", sorted((ROOT / "images").glob("*.Dockerfile")), ids=lambda file: file.name)
def test_images_need_no_newer_builder_and_name_no_host(file: Path) -> None:
    text = file.read_text()
    assert not re.search(
        r"^# *syntax=|<<|--link|https?://|trusted-host|--index-url|\.crt|\.pem", text, re.MULTILINE
    )
    users = re.findall(r"^USER (.+)$", text, re.MULTILINE)
    assert users
    assert set(users) == {"10001:10001"}
    froms = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert all(source.startswith("${") or source in re.findall(r" AS (\S+)", text) for source in froms)
