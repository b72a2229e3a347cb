# One command each: `make demo` runs the whole loop on real data, `make test` the whole suite.
PYTHON ?=
BIN := .venv/bin
TESTS ?= tests examples/flights/tests
JOBS ?= 2
PYTEST ?=

.PHONY: help setup demo test check format lint types contracts docs pytest coverage chaos bench clean hooks

help:            ## Show these targets
	@sed -n 's/^\([a-z]*\): *.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:           ## Install everything into this folder: .venv/ and .tools/
	@scripts/setup $(PYTHON)

demo: setup      ## Run the whole loop on real flights; leaves examples/flights/report.html
	cd examples/flights && ../../$(BIN)/triune loop

test: setup lint types contracts docs pytest ## Run every check and the whole test suite

check: test      ## What hooks and CI call: the same as test

format: setup    ## Rewrite the code in the project's format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

docs: setup      ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pytest: setup
	TMPDIR="$$(scripts/scratch)" $(BIN)/pytest $(TESTS) -n $(JOBS) --dist loadgroup $(PYTEST)

coverage: setup  ## Run the test suite and measure what it covers, which takes half as long again
	$(MAKE) pytest PYTEST="--cov --cov-report=term:skip-covered --cov-report=xml"

chaos: setup     ## Run every fault test with every fault; `make test` plays a part of the longest lists
	TRIUNE_FAULTS=all $(MAKE) pytest TESTS=tests/chaos

bench: setup     ## Measure everything in the README's table, beside its peers
	$(BIN)/python -m bench

clean:           ## Remove what setup and the runs made (not .venv/)
	rm -rf site htmlcov coverage.xml .coverage* .pytest_cache .mypy_cache .ruff_cache

hooks: setup     ## Install the git hooks
	$(BIN)/pre-commit install
