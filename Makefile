# `make demo` and `make test` need Python 3.11+, make and git; they install the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GENERATE := .venv-generate
LOCK := .venv-lock
RELEASE := .venv-release
# Writes a file of requirements: for every Python and platform, with the hashes of all files of each
# version, and without the addresses that they come from. Versions stay unless UPGRADE=--upgrade.
# grpc-stubs, which other stubs ask for, contradicts those of types-grpcio.
COMPILE = $(LOCK)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)
# Exactly the files of requirements/: pip refuses one with another hash.
PINNED := --quiet --disable-pip-version-check --no-deps --require-hashes
# Against what `make check` looks for breaking changes of the contract.
BREAKING_AGAINST ?= .git\#branch=main
# Seconds that `make soak` takes.
SOAK ?= 3600
# How many tests run side by side. Most of them wait: two for each core.
WORKERS = $(shell $(BIN)/python -c 'import os; print(2 * os.cpu_count())')
# How `make test` runs tests side by side: those that share a server, in one process.
# A worker that crashes ends the run: xdist 3.8 would wait for ever for the tests of its group.
PARALLEL ?= -n $(WORKERS) --dist loadgroup --max-worker-restart 0
# What pytest ends with if TEST names no test of a ring is no failure. Without TEST it is.
NONE_FOUND = $(if $(TEST),test $$? -eq 5,false)
# Which legs of the matrix, or how many side by side; MATRIX=--help says what there is.
MATRIX ?=
# Options of `make mutants`, as --side-by-side 1.
MUTANTS ?=

# Bytecode is kept, whatever the environment says: every process that a test starts, and every
# process that runs tests, would compile all sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo platform test test-quick test-timing test-long test-matrix mutants probe-mutants check bench soak
.PHONY: generate twins dashboard lock dist format clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: $(VENV)/ready ## The main job: a chain of four services that works with one context
	$(BIN)/relevo demo $(DEMO)

platform: $(VENV)/ready ## Six services with queues and a WebSocket, measured without and with Relevo; nooble.png
	$(BIN)/relevo demo --platform --chart nooble.png $(PLATFORM)

test: $(VENV)/ready ## All tests, on a real Redis; TEST=tests/store: those there
	$(BIN)/pytest $(PARALLEL) -m "not long and not timing" $(TEST) || $(NONE_FOUND)
	$(BIN)/pytest -m "timing and not long" $(TEST) || $(NONE_FOUND)

test-quick: $(VENV)/ready ## A sample of the tests, in memory: no processes, few seeds, pairs of parameters
	RELEVO_SEEDS=20 $(BIN)/pytest $(PARALLEL) -m quick --hypothesis-profile quick $(TEST)

test-timing: $(VENV)/ready ## The tests that promise a time, one after another
	$(BIN)/pytest -m "timing and not long" $(TEST)

test-long: $(VENV)/ready ## The caches' simulations with 10,000 seeds, and longer faults; some minutes
	$(BIN)/pytest -m long
	RELEVO_SEEDS=$${RELEVO_SEEDS:-10000} $(BIN)/pytest $(PARALLEL) \
		tests/near_cache/test_simulation.py tests/store/test_server_cache_simulation.py

test-matrix: $(VENV)/ready ## The tests on every Redis and Valkey, and with every Python, that are proven
	$(BIN)/python -m matrix $(MATRIX)

mutants: $(VENV)/ready ## Break a copy of the code on purpose, and see a test fail each time; NAME='near-*'
	$(BIN)/python -m mutants $(if $(NAME),'$(NAME)') $(MUTANTS)

probe-mutants: $(VENV)/ready ## Break a copy of the code on purpose, and see `relevo probe` find it; NAME='late-*'
	$(BIN)/python -m mutants.probing $(if $(NAME),'$(NAME)')

check: $(VENV)/ready $(GENERATE)/ready ## Lint, layers, types, the wire contract, and drift of what is generated
	$(BIN)/python tools/async_to_sync.py --check
	$(BIN)/python tools/dashboard.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against '$(BREAKING_AGAINST)'
	./protos/generate.sh --check

bench: $(VENV)/ready ## Figures, side by side in one run, and bench.json
	$(BIN)/python -m benchmarks $(BENCH)

soak: $(VENV)/ready ## Churn for an hour (SOAK=60: a minute): memory, files, tasks and streams stay flat, and the probe finds nothing
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK)

generate: $(GENERATE)/ready ## Make generated/ anew from protos/
	./protos/generate.sh

twins: $(VENV)/ready ## Make the blocking client's modules anew from the asyncio client's
	$(BIN)/python tools/async_to_sync.py

dashboard: $(VENV)/ready ## Make the Grafana dashboard anew from deploy/grafana/panels.toml
	$(BIN)/python tools/dashboard.py

lock: $(LOCK)/ready ## Make requirements/ anew from pyproject.toml, with hashes; UPGRADE=--upgrade: newest versions
	$(COMPILE) requirements/lock.in -o requirements/lock.txt
	$(COMPILE) requirements/generate.in -o requirements/generate.txt
	$(COMPILE) requirements/release.in -o requirements/release.txt
	$(COMPILE) --no-emit-package grpc-stubs requirements/dev.in pyproject.toml --all-extras --group test --group check -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra server --extra telemetry -c requirements/dev.txt -o requirements/server.txt

dist: $(RELEASE)/ready ## Make a release in dist/: packages, an SBOM of a server, checksums
	$(RELEASE)/bin/python tools/distribution.py

format: $(VENV)/ready ## Format Python and proto files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format -w

clean: ## Remove everything that was made
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
	rm -rf $(VENV) $(GENERATE) $(LOCK) $(RELEASE) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache bench.json

$(VENV)/ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Relevo needs Python 3.11 or newer; set PYTHON to one")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PINNED) -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(GENERATE)/ready: requirements/generate.txt
	$(PYTHON) -m venv $(GENERATE)
	$(GENERATE)/bin/python -m pip install $(PINNED) -r requirements/generate.txt
	touch $@

$(RELEASE)/ready: requirements/release.txt
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install $(PINNED) -r requirements/release.txt
	touch $@

$(LOCK)/ready: requirements/lock.txt
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install $(PINNED) -r requirements/lock.txt
	touch $@
