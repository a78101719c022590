# Two commands: `make demo` runs the main job, `make test` passes the tests.
# Each sets up all it needs in .venv; `make clean` removes it again.

# The first Python that is new enough; `make PYTHON=/path/to/python test` names another.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$p && break; done)
LOCK = requirements-ci.txt
INSTALL = bin/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test tests coverage test-sklearn16 check format bench bench-tables growth fuzz attacks load stream lock clean
help:
	@echo "make demo    train both applications on built-in data"
	@echo "make test    lint, check types, run every test"
	@echo "make coverage run every test and measure which lines it covers"
	@echo "make check   lint and types alone"
	@echo "make format  let ruff write the code's form"
	@echo "make bench   compare with PyTorch, JAX and scikit-learn, write docs/performance.md"
	@echo "make bench-tables compare tables in FOLDER with other methods, write docs/tables.md"
	@echo "make growth  compare whole trainings with scikit-learn by rows and columns, write docs/performance.md"
	@echo "make attacks run hostile files, measure time and memory, as every night"
	@echo "make fuzz    read tens of thousands of damaged files, train thousands of models, as every night"
	@echo "make load    use the playground in 50 sessions for five minutes, as every night"
	@echo "make stream  train on 2 GB of rows in 300 MB of memory, print time and memory, as every night"
	@echo "make lock    renew the versions that CI installs, with Python 3.11"
	@echo "make clean   remove the environments and what tools left behind"

demo: .venv/app
	@mkdir -p demo
	.venv/bin/python -m plainnet demo --out-dir demo

# One process for each processor, and one thread in each: more would wait for each other.
PYTEST = -m pytest -n auto --dist worksteal
test tests test-sklearn16 coverage: export OPENBLAS_NUM_THREADS = 1
test tests test-sklearn16 coverage: export OMP_NUM_THREADS = 1
# The tests start hundreds of processes, whose imports take twice as long without cached bytecode.
unexport PYTHONDONTWRITEBYTECODE

# The types are checked meanwhile, which takes one processor half a minute.
test: .venv/dev
	@$(MAKE) --no-print-directory -j2 check tests
	@$(MAKE) --no-print-directory test-sklearn16

tests: .venv/dev
	.venv/bin/python $(PYTEST)

# Measuring the coverage takes half as long again as the tests alone.
coverage: .venv/dev
	.venv/bin/python $(PYTEST) --cov --cov-report=term

# The estimators with the oldest scikit-learn that they speak with, in an environment of its own.
test-sklearn16: .venv-sklearn16/installed
	@if test -x .venv-sklearn16/bin/python; then \
	.venv-sklearn16/bin/python $(PYTEST) -q tests/estimators; else \
	echo "scikit-learn 1.6 has no wheels for this Python: the estimators met the newest alone"; fi

check: .venv/dev
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

format: .venv/dev
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

# So many files of each kind. A finding is printed, and its file is kept in fuzz-findings.
FUZZ ?= 20000
fuzz: fuzz-model fuzz-table fuzz-picture fuzz-checkpoint fuzz-toml fuzz-bomb fuzz-training
fuzz-%: .venv/dev
	PYTHONPATH=tests .venv/bin/python -m fuzz.night $* --files $(FUZZ)

# So many files that unfold, which take longer.
BOMBS ?= 2000
fuzz-bomb: .venv/dev
	PYTHONPATH=tests .venv/bin/python -m fuzz.night bomb --files $(BOMBS)

# All attacks, and large honest files; prints the table of docs/security.md.
attacks: .venv/dev
	PYTHONPATH=tests .venv/bin/python tests/attacks.py

# Sessions of random actions against the playground: no failure, bounded memory.
SECONDS ?= 300
load: .venv/dev
	PYTHONPATH=tests .venv/bin/python -m play.load --seconds $(SECONDS)

# A table of so many gigabytes, written once into a folder; its encoded rows need as much space again.
GB ?= 2
ROWS ?= rows
stream: .venv/dev
	@mkdir -p $(ROWS)
	.venv/bin/python -m benchmarks.stream $(ROWS) --gb $(GB)

# So many random trainings, from a table to the exports; each takes a second.
TRAININGS ?= 2000
fuzz-training: .venv/dev
	PYTHONPATH=tests .venv/bin/python -m fuzz.trainings --cases $(TRAININGS)

# Installed once, and again when pyproject.toml or a version changes. The empty file marks success.
.venv/app .venv/dev: pyproject.toml $(LOCK)
	@test -n "$(PYTHON)" || { echo "plainnet needs Python 3.11 or newer, and none was found: \
	install one, or name it with make PYTHON=/path/to/python"; exit 1; }
	@test -x .venv/bin/python || "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
	echo "no virtual environment could be made: on Debian, apt install python3-venv"; exit 1; }
	.venv/$(INSTALL) -c $(LOCK) --editable '.[$(@F)]'
	@touch $@

# The peers fill a gigabyte or more, so they have an environment of their own. Where pip would take a
# build of PyTorch with CUDA, PIP_EXTRA_INDEX_URL can name the index of the builds without it.
bench: .venv-bench/bench
	.venv-bench/bin/python -m benchmarks.run $(BENCH)

bench-tables: .venv-bench/tables
	.venv-bench/bin/python -m benchmarks.tables $(FOLDER) $(BENCH)

growth: .venv/dev
	.venv/bin/python -m benchmarks.growth

.venv-bench/tables: .venv-bench/bench
	.venv-bench/$(INSTALL) -c $(LOCK) torch==2.13.0 lightgbm pytabkit --editable '.[app,fast]'
	@touch $@

.venv-bench/bench: pyproject.toml $(LOCK)
	@test -n "$(PYTHON)" || { echo "plainnet needs Python 3.11 or newer, and none was found: \
	install one, or name it with make PYTHON=/path/to/python"; exit 1; }
	@test -x .venv-bench/bin/python || "$(PYTHON)" -m venv .venv-bench || { rm -rf .venv-bench; \
	echo "no virtual environment could be made: on Debian, apt install python3-venv"; exit 1; }
	.venv-bench/$(INSTALL) -c $(LOCK) torch==2.13.0 jax scikit-learn matplotlib --editable '.[fast]'
	@touch $@

HAS_WHEELS = import sys; sys.exit(sys.version_info >= (3, 14))
.venv-sklearn16/installed: pyproject.toml $(LOCK)
	@mkdir -p .venv-sklearn16
	@! "$(PYTHON)" -c '$(HAS_WHEELS)' || { "$(PYTHON)" -m venv .venv-sklearn16 && \
	grep -vE '^(scikit-learn|scipy)=' $(LOCK) > .venv-sklearn16/constraints.txt && \
	.venv-sklearn16/$(INSTALL) -c .venv-sklearn16/constraints.txt \
	scikit-learn==1.6.1 scipy==1.15.3 pandas pyarrow pytest pytest-xdist hypothesis --editable .; }
	@touch $@

# The newest versions for the oldest Python, without labels such as +cpu that only some builds have.
lock:
	rm -rf .venv-lock
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	echo "the lock file is of Python 3.11: make lock PYTHON=python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv-lock
	.venv-lock/$(INSTALL) --editable '.[dev]'
	sed -n '/^#/p' $(LOCK) > .venv-lock/lock
	.venv-lock/bin/python -m pip freeze --exclude-editable | sed '/^#/d; s/+.*//' >> .venv-lock/lock
	mv .venv-lock/lock $(LOCK)
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock .venv-bench .venv-sklearn16 .mypy_cache .pytest_cache .ruff_cache \
	.hypothesis .coverage demo fuzz-findings rows
	find . -name __pycache__ -prune -exec rm -rf {} +
