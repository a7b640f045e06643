import pytest

from nodewise.stack.profiles import Machine, agent_profiles


def machine(cores: int = 2, memory_mib: int = 8000) -> Machine:
    return Machine(cores=tuple(range(cores)), memory_mib=memory_mib, architecture="amd64")


def test_four_agents_are_unlike_each_other() -> None:
    profiles = agent_profiles(4, machine())
    assert len({(p.node_class, p.millicores, p.memory_mib, p.accelerator) for p in profiles}) == 4
    assert {p.worker_type for p in profiles} == {"high-cpu", "med-cpu", "low-cpu"}
    assert [p.name for p in profiles] == ["n1", "n2", "n3", "n4"]


def test_a_simulated_accelerator_says_so() -> None:
    (simulated,) = (p for p in agent_profiles(4, machine()) if p.accelerator)
    assert simulated.node_class == "sim-gpu"
    assert simulated.labels["simulated"] == "true"
    assert simulated.gpus == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("cores", [1, 2, 3, 8, 64])
def test_agents_fit_the_machine(count: int, cores: int) -> None:
    profiles = agent_profiles(count, machine(cores))
    assert len(profiles) == len({p.name for p in profiles}) == count
    assert sum(p.memory_mib for p in profiles) <= 8000
    for profile in profiles:
        assert set(profile.cores) <= set(range(cores))
        assert 0 < profile.millicores <= len(profile.cores) * 1000
        assert profile.architecture == "amd64"


def test_the_first_agent_has_all_cores_even_when_they_are_numbered_with_gaps() -> None:
    odd = Machine(cores=(3, 7, 12), memory_mib=4000, architecture="arm64")
    assert agent_profiles(4, odd)[0].cores == (3, 7, 12)
    assert all(set(p.cores) <= {3, 7, 12} for p in agent_profiles(4, odd))
