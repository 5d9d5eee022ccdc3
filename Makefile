# Two commands matter: `make demo` and `make test`. Each sets up all it needs in .venv
# (uv when it is there, else pip); neither needs Docker or root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests
WORKERS ?= auto
.DEFAULT_GOAL := help

help: ## what there is to make
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Switchboard needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) (first time only) …"
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@

demo: $(STAMP) ## sixty customers, two agents, one ledger; BROKERS=local: on Apache Kafka
	@$(BIN)/switchboard demo $(if $(BROKERS),--brokers $(BROKERS)) $(ARGS)

run: $(STAMP) ## run Switchboard with the example configuration
	@$(BIN)/switchboard --config $${CONFIG:-examples/config/switchboard.yaml} run

test: $(STAMP) ## every test that this machine can run; prints what it skipped and why
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS) $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import layers
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(STAMP) ## let ruff write the format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(STAMP) ## make bench NAME=x: prints a table, writes build/bench/x.json
	@test -n "$(NAME)" || { echo "make bench NAME=…, one of: $$(cd tests/bench && ls bench_*.py | sed 's/bench_//;s/\.py//' | tr '\n' ' ')"; exit 2; }
	@mkdir -p build/bench && $(BIN)/python -m tests.bench.bench_$(NAME) $(ARGS)

corpus: $(STAMP) ## make corpus DIR=…: all mail and hostile-input checks over a folder of samples
	@test -n "$(DIR)" || { echo "make corpus DIR=folder"; exit 2; }
	@$(BIN)/python -m tests.corpus "$(DIR)"

fuzz: $(STAMP) ## ten minutes of coverage-guided fuzzing of the mail parser; T=… seconds
	@$(BIN)/python -c 'import atheris' 2>/dev/null || if command -v uv >/dev/null 2>&1; \
	  then uv pip install --quiet --python $(BIN)/python 'atheris>=3.0'; else $(BIN)/python -m pip install --quiet 'atheris>=3.0'; fi
	@$(BIN)/python -m tests.fuzz -max_total_time=$(or $(T),600) -timeout=2 -rss_limit_mb=1024

chaos: $(STAMP) ## kill, pause and cut off every role under load, then check; N=… FAULTS=… ON=fleet|house, SEED=… replays; NAME=smtp: a bad mail server
	@$(if $(filter smtp,$(NAME)),$(BIN)/python -m tests.chaos.smtp --seed "$(SEED)" --sends $(or $(N),10000),\
	  $(BIN)/python -m tests.chaos --seed "$(SEED)" --interactions $(or $(N),20000) --faults $(or $(FAULTS),200) --on $(or $(ON),fleet))

ci: export CI := true
ci: lint test ## what has to be green before anything lands; its chaos is a short one
	@$(MAKE) --no-print-directory chaos N=600 FAULTS=12
	@$(MAKE) --no-print-directory chaos NAME=smtp N=300

clean: ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help demo run test lint format bench corpus fuzz chaos ci clean
