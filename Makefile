# `make demo` and `make test` need Python 3.11+, make and git; they install the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GENERATE := .venv-generate
LOCK := .venv-lock
RELEASE := .venv-release
HELM := .venv-chart
DOCS := .venv-docs
# What pages need of other projects, as npm fetched it last.
ASSETS := client/relevo_web/assets/vendor/ready
# Writes a file of requirements: for every Python and platform, with the hashes of all files of each
# version, and without the addresses that they come from. Versions stay unless UPGRADE=--upgrade.
# grpc-stubs, which other stubs ask for, contradicts those of types-grpcio.
COMPILE = $(LOCK)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)
# Exactly the files of requirements/: pip refuses one with another hash.
PINNED := --disable-pip-version-check --no-deps --require-hashes
# Against what `make check` looks for breaking changes of the contract.
BREAKING_AGAINST ?= .git\#branch=main
# The theme warns of MkDocs 2, which requirements/docs.in excludes.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs
# Seconds that `make soak` takes. The soak of `make scale` takes 60 if this is not given.
SOAK ?= 3600
# Of the release to make; with DRY_RUN, nothing of it is kept.
VERSION ?=
DRY_RUN ?=
# How many tests run side by side. Most of them wait: two for each core.
WORKERS = $(shell $(BIN)/python -c 'import os; print(2 * os.cpu_count())')
# How `make test` runs tests side by side: those that share a server, in one process.
# A worker that crashes ends the run: xdist 3.8 would wait for ever for the tests of its group.
PARALLEL ?= -n $(WORKERS) --dist loadgroup --max-worker-restart 0
# What pytest ends with if TEST names no test of a ring is no failure. Without TEST it is.
NONE_FOUND = $(if $(TEST),test $$? -eq 5,false)
# Which legs of the matrix, or how many side by side; MATRIX=--help says what there is.
MATRIX ?=
# The picture of `make platform`: a PNG, or an SVG as docs/images/platform.svg, for README.md.
CHART ?= nooble.png
# Options of `make mutants`, as --side-by-side 1.
MUTANTS ?=

# Bytecode is kept, whatever the environment says: every process that a test starts, and every
# process that runs tests, would compile all sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo platform test test-quick test-timing test-long test-browser test-matrix mutants probe-mutants check bench scale peers soak
.PHONY: check-style check-drift check-layers check-types check-scripts check-contract check-workflows hooks
.PHONY: assets screenshots serve generate twins capacity dashboard docs docs-serve lock dist chart release format clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: $(VENV)/ready ## The main job: four services work with one context; DEMO=--all: all conversations
	$(BIN)/relevo demo $(DEMO)

platform: $(VENV)/ready ## Six services with queues and a WebSocket, measured without and with Relevo; CHART=nooble.png
	$(BIN)/relevo demo --platform --chart $(CHART) $(PLATFORM)

serve: $(VENV)/ready $(ASSETS) ## The same platform kept up, with a page: chat, change, break, compare; SERVE="--port 8391"
	$(BIN)/relevo demo --platform --serve $(SERVE)

test: $(VENV)/ready $(ASSETS) ## All tests, on a real Redis; TEST=tests/store: those there
	$(BIN)/pytest $(PARALLEL) -m "not long and not timing and not browser" $(TEST) || $(NONE_FOUND)
	$(BIN)/pytest -m "timing and not long and not browser" $(TEST) || $(NONE_FOUND)

test-quick: $(VENV)/ready $(ASSETS) ## A sample of the tests, in memory: no processes, few seeds, pairs of parameters
	RELEVO_SEEDS=20 $(BIN)/pytest $(PARALLEL) -m quick --hypothesis-profile quick $(TEST)

test-timing: $(VENV)/ready ## The tests that promise a time, one after another
	$(BIN)/pytest -m "timing and not long and not browser" $(TEST)

test-long: $(VENV)/ready $(ASSETS) ## The caches' simulations with 10,000 seeds, and longer faults; some minutes
	$(BIN)/pytest -m long
	RELEVO_SEEDS=$${RELEVO_SEEDS:-10000} $(BIN)/pytest $(PARALLEL) \
		tests/near_cache/test_simulation.py tests/store/test_server_cache_simulation.py

test-browser: $(VENV)/ready $(ASSETS) ## The pages, in a headless Chromium: the one of the PATH
	$(BIN)/python tools/web_assets.py --checks
	$(BIN)/pytest -m browser $(TEST)

test-matrix: $(VENV)/ready $(ASSETS) ## The tests on every Redis and Valkey, and with every Python, that are proven
	$(BIN)/python -m matrix $(MATRIX)

mutants: $(VENV)/ready $(ASSETS) ## Break a copy of the code on purpose, and see a test fail each time; NAME='near-*'
	$(BIN)/python -m mutants $(if $(NAME),'$(NAME)') $(MUTANTS)

probe-mutants: $(VENV)/ready ## Break a copy of the code on purpose, and see `relevo probe` find it; NAME='late-*'
	$(BIN)/python -m mutants.probing $(if $(NAME),'$(NAME)')

# Its parts are the hooks of .pre-commit-config.yaml, too.
check: check-style check-drift check-layers check-types check-scripts check-contract check-workflows ## Lint, layers, types, the wire contract, and drift of what is generated

check-style: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-drift: $(VENV)/ready
	$(BIN)/python tools/async_to_sync.py --check
	$(BIN)/python tools/dashboard.py --check
	$(BIN)/python tools/capacity.py --check

check-layers: $(VENV)/ready
	$(BIN)/lint-imports --no-cache --no-logo

check-types: $(VENV)/ready
	$(BIN)/mypy
	$(BIN)/pyright

check-scripts: $(VENV)/ready
	$(BIN)/python tools/check_scripts.py

check-contract: $(VENV)/ready $(GENERATE)/ready
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against '$(BREAKING_AGAINST)'
	./protos/generate.sh --check

check-workflows: $(VENV)/ready
	$(BIN)/zizmor --offline --no-progress --quiet .github

hooks: $(VENV)/ready ## Have git run the parts of `make check` before each commit
	$(BIN)/pre-commit install

bench: $(VENV)/ready $(ASSETS) ## Figures, side by side in one run, and bench.json
	$(BIN)/python -m benchmarks $(BENCH)

scale: $(VENV)/ready ## What ten thousand streams cost, scale.json and scale.png; SCALE="idle push": these rows
	$(BIN)/python -m benchmarks.scale --chart scale.png $(if $(filter file,$(origin SOAK)),,--soak $(SOAK)) $(SCALE)

peers: $(VENV)/ready ## Get and Put beside Dapr and etcd, if DAPRD=… and ETCD=… name them, and peers.json
	$(if $(DAPRD),DAPRD=$(DAPRD)) $(if $(ETCD),ETCD=$(ETCD)) $(BIN)/python -m benchmarks.peers $(PEERS)

soak: $(VENV)/ready ## Churn for an hour (SOAK=60: a minute): memory, files, tasks and streams stay flat, and the probe finds nothing
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK)

screenshots: $(VENV)/ready $(ASSETS) ## Take the pictures of docs/images/pages anew, of pages that run; some minutes
	$(BIN)/python tools/screenshots.py $(SCREENSHOTS)

assets: $(ASSETS) ## Fetch what pages need of other projects, with npm

generate: $(GENERATE)/ready ## Make generated/ anew from protos/
	./protos/generate.sh

twins: $(VENV)/ready ## Make the blocking client's modules anew from the asyncio client's
	$(BIN)/python tools/async_to_sync.py

capacity: $(VENV)/ready ## Make the tables of docs/capacity.md anew from what `relevo plan` calculates
	$(BIN)/python tools/capacity.py

dashboard: $(VENV)/ready ## Make the Grafana dashboard anew from deploy/grafana/panels.toml
	$(BIN)/python tools/dashboard.py

docs: $(DOCS)/ready ## Build the documentation site in site/, without a warning
	$(MKDOCS) build --quiet

docs-serve: $(DOCS)/ready ## Show the documentation site at http://127.0.0.1:8000, and build it anew after each change
	$(MKDOCS) serve

lock: $(LOCK)/ready ## Make requirements/ anew from pyproject.toml, with hashes; UPGRADE=--upgrade: newest versions
	$(COMPILE) requirements/lock.in -o requirements/lock.txt
	$(COMPILE) requirements/generate.in -o requirements/generate.txt
	$(COMPILE) requirements/release.in -o requirements/release.txt
	$(COMPILE) requirements/build.in -c requirements/release.txt -o requirements/build.txt
	$(COMPILE) requirements/chart.in -o requirements/chart.txt
	$(COMPILE) --no-emit-package grpc-stubs requirements/dev.in pyproject.toml --all-extras --group test --group check -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra server --extra telemetry --extra jwt --extra encryption -c requirements/dev.txt -o requirements/server.txt
	$(COMPILE) requirements/docs.in pyproject.toml --extra cli --extra console --extra faststream --extra server -c requirements/dev.txt -o requirements/docs.txt

dist: $(RELEASE)/ready $(ASSETS) ## Make and check the files of a release in dist/: packages, an SBOM of a server, notes, checksums
	$(RELEASE)/bin/python tools/distribution.py

release: $(RELEASE)/ready $(ASSETS) ## All of a release but the upload; VERSION=0.2.0, and DRY_RUN=yes to keep nothing
	$(RELEASE)/bin/python tools/release.py '$(VERSION)' $(if $(DRY_RUN),--dry-run)

chart: $(HELM)/ready ## Lint the Helm chart, and package it in dist/
	$(HELM)/bin/python tools/chart.py package

format: $(VENV)/ready ## Format Python and proto files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format -w

clean: ## Remove everything that was made
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
	rm -rf $(VENV) $(GENERATE) $(LOCK) $(RELEASE) $(HELM) $(DOCS) dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache node_modules $(dir $(ASSETS))
	rm -f bench.json scale.json scale.png peers.json

$(VENV)/ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Relevo needs Python 3.11 or newer; set PYTHON to one")'
	$(PYTHON) -m venv $(VENV)
	@$(PYTHON) tools/installing.py requirements/dev.txt \
		$(BIN)/python -m pip install $(PINNED) -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# npm is one of the packages of .venv.
$(ASSETS): package-lock.json tools/web_assets.py | $(VENV)/ready
	$(BIN)/python tools/web_assets.py
	touch $@

$(GENERATE)/ready: requirements/generate.txt
	$(PYTHON) -m venv $(GENERATE)
	$(GENERATE)/bin/python -m pip install --quiet $(PINNED) -r requirements/generate.txt
	touch $@

$(RELEASE)/ready: requirements/release.txt
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet $(PINNED) -r requirements/release.txt
	touch $@

$(HELM)/ready: requirements/chart.txt
	$(PYTHON) -m venv $(HELM)
	$(HELM)/bin/python -m pip install --quiet $(PINNED) -r requirements/chart.txt
	touch $@

$(DOCS)/ready: requirements/docs.txt pyproject.toml
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet $(PINNED) -r requirements/docs.txt
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(LOCK)/ready: requirements/lock.txt
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install --quiet $(PINNED) -r requirements/lock.txt
	touch $@
