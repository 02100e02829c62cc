# Every target explains itself: `make help`. A bare machine needs Python >= 3.11 and make, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV    ?= .venv
PY      := $(VENV)/bin/python
UV      := $(VENV)/bin/uv
STAMP   := $(VENV)/.installed
# One more than the two cores that tests are made for: many of them wait for servers.
WORKERS ?= 3
ARGS    ?=
MINUTES ?= 10

# Tests start hundreds of processes, and uv compiles nothing: without bytecode each would compile all it imports anew.
unexport PYTHONDONTWRITEBYTECODE

# A pyenv shim exists for every Python and works for some, so each candidate is asked, not looked up.
define FIND_PYTHON
for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python="$$candidate"; break; \
	fi; \
done; \
if [ -z "$${python:-}" ]; then \
	echo "No Python >= 3.11 with venv found (asked: $(PYTHON) python3.13 python3.12 python3.11 python3 python)." >&2; \
	echo "Install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi
endef

.PHONY: help setup demo test test-long check format bench soak lock clean

help: ## Show the targets (this text)
	@echo "featurestore: a feature is a function"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS=... is handed to pytest (make test ARGS='-k materializer'), WORKERS=$(WORKERS) is the number of test processes,"
	@echo "  PYTHON=... names the interpreter that $(VENV) is made from, FEATURESTORE_SHARED=... the folder of shared data."

setup: $(STAMP) ## Put the package and all that its tests need into .venv

# The stamp makes a second run instant; an edit of either file installs again, into the same .venv. So does a run that
# was interrupted: each step may be done twice.
$(STAMP): pyproject.toml constraints.txt
	@if ! { $(PY) --version && $(UV) --version; } >/dev/null 2>&1; then \
		$(FIND_PYTHON); \
		echo "==> making $(VENV) with $$("$$python" --version) ($$python)"; \
		"$$python" -m venv $(VENV); \
		echo "==> putting uv into $(VENV)"; \
		$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv; \
	fi
	@echo "==> installing featurestore and its test group"
	@$(UV) pip install --python $(PY) --constraints constraints.txt --build-constraints constraints.txt \
		--editable . --group test
	@touch $@

demo: setup ## Run the demonstration: features of a log, Last(); then payments, a model, a prediction over HTTP
	@$(PY) -m featurestore.demo
	@echo
	@$(PY) examples/fraud/demo.py

test: setup ## Run the tests and the examples in docstrings (ARGS=... for pytest)
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

test-long: setup ## Run everything: also tests marked long, and ten times the examples a property
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup -m '' --hypothesis-profile=long --timeout 3600 $(ARGS)

check: setup ## Lint, format check, strict types, layers
	@echo "==> ruff check" && $(PY) -m ruff check .
	@echo "==> ruff format --check" && $(PY) -m ruff format --check .
	@echo "==> mypy --strict" && $(PY) -m mypy
	@for example in examples/*/; do \
		echo "==> mypy --strict $$example" && MYPYPATH="$$example" $(PY) -m mypy "$$example"; \
	done  # Each on its own: their scripts import from their own folder, and several have a `features`.
	@echo "==> layers" && $(PY) -m pytest -q tests/house/test_layers.py

format: setup ## Format the code and mend what ruff can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

# Sizes at which each takes seconds; docs/benchmarks.md has the sizes that the budgets are about.
define BENCHES
import_time.py --rounds 5
call_overhead.py --calls 20000
last_lookup.py --rows 100000 --days 5 --lookups 100
apply.py --views 200
wide.py --rows 20000
point_in_time.py --late --rows 100k --labels 10k --views 2 --ttl 7d
point_in_time.py --rows 8M --labels 10k --views 1 --memory 200 --rounds 1
point_in_time.py --feast --rows 100k --labels 10k --views 5 --ttl 7d --rounds 1
materialize.py --keys 100k --rounds 1
push.py --rows 1 100 --seconds 1 --keys 50000
endef
export BENCHES

bench: setup ## Run every benchmark, reduced to a few minutes in all (docs/benchmarks.md: in full)
	@failed=0; while read -r line; do \
		echo "==> benchmarks/$$line"; \
		$(PY) benchmarks/$$line </dev/null || { echo "^^^ failed: other values, an error, or a budget" >&2; failed=1; }; \
	done <<< "$$BENCHES"; exit $$failed

soak: setup ## Read at full speed for ten minutes while others materialize, push and apply (MINUTES=10)
	@$(PY) benchmarks/soak.py --minutes $(MINUTES)

# Universal: one file for every supported Python. No index address, no find-links, no comment of origin gets in.
lock: ## Pin again all that the tests need, in constraints.txt
	@$(UV) --version >/dev/null 2>&1 || $(MAKE) setup  # Not a prerequisite: a changed group cannot install before it is pinned.
	@echo "==> resolving"
	@sed -n '/^#/p' constraints.txt > $(VENV)/constraints.new
	@echo "--editable ." | $(UV) pip compile --quiet --python $(PY) --universal --python-version 3.11 --fork-strategy fewest --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-package featurestore \
		--group test - | LC_ALL=C sort >> $(VENV)/constraints.new
	@if grep -nE '://|@ |--' $(VENV)/constraints.new | grep -v '^[0-9]*:#'; then \
		echo "constraints.txt must name versions only; the lines above name places" >&2; exit 1; \
	fi
	@mv $(VENV)/constraints.new constraints.txt
	@echo "==> $$(grep -c == constraints.txt) packages pinned in constraints.txt"

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
