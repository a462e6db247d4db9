# Tickloom. `make help` lists what can be done; every target sets up what it needs.
# Needs Python 3.11+, git and make, nothing else.

PYTHON ?= python3
VENUE  ?=
PYTEST ?=

UV    := 0.13.8
VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

export UV_NO_PROGRESS := 1
unexport VIRTUAL_ENV
unexport PYTHONPATH
.DEFAULT_GOAL := help
.PHONY: help setup demo up test check lint lock chaos fuzz bench bench-long bench-100m bench-64 clean distclean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install into .venv exactly what requirements.lock says; again only when that changes
	@echo "setup: $(VENV) is what requirements.lock says"

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tickloom needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)."; \
	  echo "Name another one: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; } >&2
	@$(BIN)/python -c 'import pip' 2>/dev/null || { \
	  echo "setup: making the virtual environment $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@$(BIN)/uv --version 2>/dev/null | grep -q "^uv $(UV)" || { \
	  echo "setup: installing uv $(UV)"; $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV); }
	@echo "setup: installing $$(grep -c '==' requirements.lock) packages, each checked against its hash"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@echo "setup: installing tickloom itself, as a link to this folder"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Run the whole pipeline on simulated archives and draw the report
	@$(BIN)/tickloom demo

up: $(STAMP) ## Start everything and keep it up (VENUE=sim where there is no internet); Ctrl-C stops it
	@$(BIN)/tickloom up $(if $(VENUE),--venue $(VENUE))

test: $(STAMP) ## Run the tests (PYTEST="-k bars -x" passes options on)
	@$(BIN)/python -m pytest -n 2 -m "not chaos and not fuzz" $(PYTEST)

lint: $(STAMP) ## Check style, types and the walls between the parts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

check: lint test ## Everything that CI runs

lock: $(STAMP) ## Resolve the dependencies of pyproject.toml anew into requirements.lock
	$(BIN)/uv lock
	$(BIN)/uv export --quiet --frozen --all-groups --no-emit-project --format requirements-txt -o requirements.lock
	$(BIN)/uv export --quiet --frozen --no-dev --no-emit-project --no-annotate --no-header -o deploy/requirements.lock
	rm -f uv.lock

chaos: $(STAMP) ## The long campaign of kills, and of moments at which golden strategies are cut
	@$(BIN)/python -m pytest -m chaos $(PYTEST)

fuzz: $(STAMP) ## The long campaign of texts for the parsers, 10,000, and of orders, 1,000 streams: some minutes
	@$(BIN)/python -m pytest -n 2 -m fuzz $(PYTEST)

bench: $(STAMP) ## Measure against nine peers, from pandas to NautilusTrader
	@$(BIN)/python -m benchmarks

bench-long: $(STAMP) ## The same, and an archive of 50 million trades
	@$(BIN)/python -m benchmarks --many 50000000

bench-100m: $(STAMP) ## Send 100 million trades through download and bars by the gateway
	@$(BIN)/python -m benchmarks.whole

bench-64: $(STAMP) ## Time 64 combinations on a year of klines from POST to SUCCESS (needs TICKLOOM_IMPORT_DIR)
	@$(BIN)/python -m benchmarks.latency

clean: ## Remove what running and testing left behind; .tickloom and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## Also remove .venv; .tickloom, which holds your data, stays
	rm -rf $(VENV)
