# On a fresh Debian 12 with python3 and make, `make demo` and `make test` do everything.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find runfmt sync -type f -not -name '*.pyc') pyproject.toml README.md LICENSE

# The environment holds the project as an editable install (make dev) or as a wheel (make test).
INSTALLED := $(if $(wildcard .stamps/dev),.stamps/dev,.stamps/wheel)

.PHONY: help tools dev wheel mlflow lint type test demo soak fuzz audit billion bench peers pictures clean

help: ## say what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

tools: ## see to the programs that pip does not bring: chromium, git, jq, minisign, node, postgresql, venv
	@missing=; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v jq >/dev/null || missing="$$missing jq"; \
	command -v minisign >/dev/null || missing="$$missing minisign"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	set -- /usr/lib/postgresql/*/bin/initdb; [ -x "$$1" ] || missing="$$missing postgresql"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
	elif [ -n "$$missing" ]; then \
	  echo "Missing programs. As root: apt-get update && apt-get install$$missing" >&2; exit 1; \
	fi
	@apt-cache show dataset-fashion-mnist >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && apt-get update -q; } || \
	{ echo "apt does not know dataset-fashion-mnist. As root: apt-get update" >&2; exit 1; }

.venv:
	$(PYTHON) -m venv .venv || { $(MAKE) tools && $(PYTHON) -m venv --clear .venv; }

.stamps/dev: pyproject.toml | .venv
	$(BIN)/pip install -q -e '.[test,examples]'
	@mkdir -p .stamps && rm -f .stamps/wheel && touch $@

.stamps/wheel: $(SOURCES) | .venv
	rm -rf dist
	$(BIN)/pip wheel -q --no-deps -w dist .
	$(BIN)/pip install -q "$$(echo dist/*.whl)[test,examples]"
	$(BIN)/pip install -q --no-deps --force-reinstall dist/*.whl
	@mkdir -p .stamps && rm -f .stamps/dev && touch $@

# MLflow and Trackio for the tests. They want other versions of much, so they live by themselves.
.stamps/mlflow: | .venv
	$(PYTHON) -m venv --clear .venv-mlflow
	.venv-mlflow/bin/pip install -q 'mlflow>=3.3' 'trackio>=0.43'
	@mkdir -p .stamps && touch $@

dev: .stamps/dev ## an environment in which the checkout is what runs

wheel: .stamps/wheel ## an environment in which the built wheel is what runs

mlflow: .stamps/mlflow ## an environment with MLflow and Trackio, which tests start

lint: $(INSTALLED) ## style and form
	$(BIN)/ruff check
	$(BIN)/ruff format --check

type: $(INSTALLED) ## types, strictly
	$(BIN)/mypy

# From an empty folder, so that nothing is imported from the checkout.
test: tools lint type .stamps/wheel .stamps/mlflow ## everything that CI runs
	@mkdir -p .stamps/empty
	cd .stamps/empty && ../../$(BIN)/pytest -c ../../pyproject.toml --rootdir ../.. -q -n auto ../../tests

demo: $(INSTALLED) ## train on Fashion-MNIST, follow it to a server, prove that all arrived, and show its page
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh demo

KILLS ?= 10000
ROWS ?= 100000000
soak: $(INSTALLED) ## kill, fail, fill and requeue trainings, syncs and servers for hours; count what is missing
	KILLS=$(KILLS) RUNFMT_TEST_ROWS=$(ROWS) RUNFMT_TEST_FAULTS=all RUNFMT_TEST_REQUEUES=100 RUNFMT_TEST_CUTS=20 RUNFMT_TEST_KILLS=1000 \
	RUNFMT_TEST_EXAMPLES=2000 RUNFMT_TEST_SECONDS=600 RUNFMT_TEST_LARGE=2147483648 \
	$(BIN)/pytest -q -n 2 tests/fault tests/remotes tests/sync/test_faults.py tests/bundle/test_kills.py

INPUTS ?= 50000
fuzz: $(INSTALLED) ## give a million inputs that nobody meant to the parsers of what others wrote: some ten minutes
	RUNFMT_TEST_INPUTS=$(INPUTS) $(BIN)/pytest -q tests/fuzz

# A package about which nothing could be asked fails it (--strict): silence is no answer.
audit: ## ask PyPI for known weaknesses of all that runfmt and its extras need: by hand, every month
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/pip install -q '.[all,wandb]'
	.venv-audit/bin/pip freeze --exclude runfmt > .venv-audit/needed.txt
	.venv-audit/bin/pip install -q pip-audit
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip -r .venv-audit/needed.txt

billion: $(INSTALLED) ## look at a billion points: half an hour, 45 GB of disk
	$(BIN)/python benchmarks/view.py --rows 100000 --alone

bench: $(INSTALLED) ## measure everything beside others, and write benchmarks/RESULTS.md: half an hour, 70 GB of disk
	$(BIN)/python benchmarks

PEERS := tensorboardX swanlab sacred neptune-scale dvclive aim
peers: .stamps/mlflow ## environments of other tools, which benchmarks/peers measures beside runfmt (sacred needs setuptools and does not say so)
	for tool in $(PEERS); do \
	  $(PYTHON) -m venv --clear .venv-peers/$$tool && .venv-peers/$$tool/bin/pip install -q $$tool setuptools || exit 1; \
	done

pictures: $(INSTALLED) ## draw the pictures of the page for the documentation, from runs that it trains
	PYTHONPATH=tests:examples $(BIN)/python docs/draw_pages.py demo

clean: ## remove what was made, but not runs
	rm -rf .venv .venv-mlflow .venv-peers .venv-audit .stamps dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
