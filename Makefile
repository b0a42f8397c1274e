# Each target does everything it needs, in a virtual environment of its own; a second run only repeats the last line.
#   make demo | test | lint | docs | bench | bench-peers | clean
#   make test PYTHON=python3.13 VENV=.venv-3.13          another Python, beside the first
#   make test FASTEMBED_DEBUG=1 VENV=.venv-debug         kernels with every check compiled in

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Both variables make OpenBLAS run kernels other than those of this CPU.
OWN_BLAS := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE
# Folders are listed too: their time changes when a file in them is added or deleted.
SOURCES := $(shell find fastembed ! -path '*/.*' ! -path '*/__pycache__*')

.PHONY: demo test lint docs bench bench-peers clean

demo: $(VENV)/.package
	$(BIN)/fastembed demo

test: $(VENV)/.package $(VENV)/.extra-test
	$(BIN)/pytest

# cython-lint starts pycodestyle by name.
lint: $(VENV)/.package $(VENV)/.extra-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastembed
	$(BIN)/mypy
	$(BIN)/codespell *.md Makefile setup.py fastembed tests bench docs

# The site, in docs/_build/html; a warning is an error. -E: a change of a docstring is not seen otherwise.
docs: $(VENV)/.package $(VENV)/.extra-docs
	$(BIN)/sphinx-build -E -W --keep-going --quiet -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(VENV)/.package $(VENV)/.extra-bench
	$(OWN_BLAS) $(BIN)/pytest bench --benchmark-enable --benchmark-max-time=0.3 \
		--benchmark-columns=min,median,iqr,rounds,iterations --benchmark-group-by=func,param:size,param:dtype

# The figures of docs/benchmarks.md, and its plot.
bench-peers: $(VENV)/.package $(VENV)/.extra-bench
	$(OWN_BLAS) $(BIN)/python bench/peers/row.py
	$(OWN_BLAS) $(BIN)/python bench/peers/block.py
	$(OWN_BLAS) $(BIN)/python bench/peers/torch_softmax.py
	$(BIN)/python bench/peers/plot.py

clean:
	rm -rf $(VENV) build dist docs/_build fastembed_cython.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) was not found. Name a Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "fastembed needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv;" \
			"or name another Python: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# build/ is removed first: setuptools would pack modules since deleted, and objects compiled with other flags.
$(VENV)/.package: $(VENV)/.python pyproject.toml setup.py $(SOURCES)
	rm -rf build
	$(PIP) install .
	@touch $@

# The package is installed by then, so pip adds only what the extra names.
$(VENV)/.extra-%: pyproject.toml | $(VENV)/.package
	$(PIP) install 'fastembed-cython[$*]'
	@touch $@
