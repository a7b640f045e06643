# Two commands do everything on a fresh machine with Python 3.11+: make demo, make test.
PYTHON ?= python3
VENV := .venv
TEST_WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORTIONS := services/core services/planning services/api services/scheduler services/placer services/monitor services/recorder services/agent services/stack services/simulator sdk

.PHONY: setup demo test check bench up down lock clean

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

test: setup
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m bench

up: setup
	@$(BIN)/nodewise up

down: setup
	@$(BIN)/nodewise down

lock:
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile requirements/dev.in --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements/lock.txt

clean:
	rm -rf $(VENV) out .nodewise
