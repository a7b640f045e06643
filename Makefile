# Two commands do everything on a fresh machine with Python 3.11+: make demo, make test.
PYTHON ?= python3
VENV := .venv
TEST_WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SEED_CLIENT := .venv-mlopx
FUZZER := .venv-schemathesis
STACK_PEERS := .venv-peers
PORTIONS := services/core services/planning services/api services/scheduler services/placer services/monitor services/recorder services/agent services/carrier services/stack services/simulator sdk

.PHONY: setup demo test chaos check bench bench-stack bench-placement fuzz up down image image-sizes compose-test k8s-test licences audit-dependencies lock clean

setup: $(READY)

$(READY): requirements/lock.txt $(addsuffix /pyproject.toml,$(PORTIONS))
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Nodewise needs Python 3.11 or newer, found " + sys.version.split()[0] + ". Set PYTHON=python3.11 (make PYTHON=... demo).")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV) (about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ./,$(PORTIONS))
	@touch $@

demo: setup
	@$(BIN)/python -m examples.demo

test: setup $(SEED_CLIENT)/.ready $(FUZZER)/.ready
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

# The seed's client as it is published lives in an environment of its own: the gateway is tested against it, and nothing imports it.
$(SEED_CLIENT)/.ready: requirements/mlopx.txt
	@test -x $(SEED_CLIENT)/bin/python || $(PYTHON) -m venv $(SEED_CLIENT)
	@echo "Installing the seed's client into $(SEED_CLIENT) (about half a minute) ..."
	@$(SEED_CLIENT)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/mlopx.txt
	@touch $@

# So does what drives the gateway by its OpenAPI document.
$(FUZZER)/.ready: requirements/schemathesis.txt
	@test -x $(FUZZER)/bin/python || $(PYTHON) -m venv $(FUZZER)
	@echo "Installing schemathesis into $(FUZZER) (about half a minute) ..."
	@$(FUZZER)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/schemathesis.txt
	@touch $@

# Faults while pipelines run. SEED repeats a run (by default it is the time), MINUTES is how long, LIMIT how soon work must go on.
chaos: setup
	@$(BIN)/python -m tests.acceptance.faults $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),10) --limit $(or $(LIMIT),10)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m bench

# ARGS="starting chains" chooses parts. Peers that cannot be installed are left out, and said to be.
bench-stack: setup
	@$(MAKE) --no-print-directory $(STACK_PEERS)/.ready || echo "LEFT OUT: the systems to compare with could not be installed into $(STACK_PEERS)"
	@$(BIN)/python -m bench.stack $(ARGS)

# Other people's systems that run tasks live in an environment of their own, too.
$(STACK_PEERS)/.ready: requirements/peers.txt
	@test -x $(STACK_PEERS)/bin/python || $(PYTHON) -m venv $(STACK_PEERS)
	@echo "Installing the systems to compare with into $(STACK_PEERS) (about a minute) ..."
	@$(STACK_PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/peers.txt
	@touch $@

# Other people's schedulers live in an environment of their own: no other command needs them, and nothing of ours is in it.
PEERS := .venv-bench

# wfcommons comes as sources only, so what builds it is installed first, from the same lock.
$(PEERS)/.ready: requirements/bench.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "Installing the schedulers to compare with into $(PEERS) (about half a minute) ..."
	@sed -n '/^setuptools==/,/# via/p' requirements/bench.txt | $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r /dev/stdin
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r requirements/bench.txt
	@touch $@

# ARGS="a c --quick" chooses parts, and other options of `python -m bench.placement`.
bench-placement: setup $(PEERS)/.ready
	@$(BIN)/python -m bench.placement $(ARGS)

# Malformed submissions to a gateway with a stack of its own: COUNT=10000 SEED=1.
fuzz: setup
	@$(BIN)/python -m tests.fuzzing --count $(or $(COUNT),10000) --seed $(or $(SEED),1)

up: setup
	@$(BIN)/nodewise up

down: setup
	@$(BIN)/nodewise down

# The images of docker-compose.yml, and those that the steps of pipelines on Kubernetes can begin from.
image:
	@docker compose --profile images build
	@$(MAKE) --no-print-directory image-sizes

image-sizes:
	@docker image ls --format 'table {{.Repository}}\t{{.Tag}}\t{{.Size}}' --filter "reference=$${IMAGE_PREFIX:-nodewise}/*:$${IMAGE_TAG:-local}"

# The stack in containers, from its first start to its end, with the demo's waves. Takes a while: it builds the images.
compose-test: setup
	@if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then \
		NODEWISE_COMPOSE_TEST=1 $(BIN)/python -m pytest tests/compose -s -v; \
	else \
		echo "compose-test LEFT OUT: no Docker engine with Compose answers here (docker info, docker compose version)"; \
	fi

# The manifests with both engines that need no other server, on the cluster that KUBECONFIG names, in a namespace of their own (docs/deploy.md).
k8s-test: setup
	@if test -n "$$KUBECONFIG" && kubectl --request-timeout=10s get --raw /readyz >/dev/null 2>&1; then \
		NODEWISE_MANIFESTS_TEST=1 $(BIN)/python -m pytest tests/kubernetes/test_manifests.py -s -v; \
	else \
		echo "k8s-test LEFT OUT: KUBECONFIG names no Kubernetes cluster that answers here (kubectl get --raw /readyz)"; \
	fi

# The licence of all that is needed at run time; fails on one that requirements/licences.txt does not allow.
licences: setup
	@$(BIN)/python requirements/licences.py

# Known vulnerabilities of what is locked. Needs a way to the advisories: pip-audit fetches them, and says so if it cannot.
AUDITOR := .venv-audit

audit-dependencies:
	@test -x $(AUDITOR)/bin/pip-audit || { $(PYTHON) -m venv $(AUDITOR) && $(AUDITOR)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	@$(AUDITOR)/bin/pip-audit --strict --require-hashes --disable-pip -r requirements/lock.txt

lock:
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile requirements/dev.in --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements/lock.txt
	@$(BIN)/uv pip compile requirements/bench.in --override requirements/bench-left-out.txt --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements/bench.txt
	@$(BIN)/uv pip compile requirements/mlopx.in --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements/mlopx.txt
	@$(BIN)/uv pip compile requirements/schemathesis.in --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements/schemathesis.txt
	@$(BIN)/uv pip compile requirements/peers.in --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements/peers.txt

clean:
	rm -rf $(VENV) $(PEERS) $(STACK_PEERS) $(SEED_CLIENT) $(FUZZER) $(AUDITOR) out .nodewise
