# make demo        creates the environment, then runs a study and its report on a small sample (two minutes after installation)
# make test        creates the environment, then runs the checks and the tests (about seven minutes on two cores)
# make check       checks style (ruff) and types (mypy)
# make chaos       kills, stops, races and damages what runs, many times (half an hour); docs/reliability.md has the outcomes
# make lock        brings the lock files up to date with pyproject.toml; pinned versions that still fit stay
# make lock-check  shows that the lock files can be installed on each supported system, without installing anything
#
# GPU=1 adds the CUDA packages that TensorFlow needs: make .venv/ready GPU=1. docs/install.md has the rest.
PYTHON ?= $(shell scripts/find_python | head -n 1)
BIN = .venv/bin
INSTALL = scripts/install_packages $(BIN)/python
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml
SYSTEMS = x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin
VERSIONS = 3.11 3.12 3.13

.PHONY: demo test check chaos lock lock-check

demo: .venv/ready
	$(BIN)/python exp_bs_mrpc.py --demo
	$(BIN)/python make_report.py --demo

# Three at a time on two cores: tests of processes, servers and signals wait much.
test: check
	$(BIN)/python -m pytest -n 3 --dist loadfile

check: .venv/all
	$(BIN)/ruff check .
	$(BIN)/mypy

chaos: .venv/all
	BERT_GLUE_CHAOS=1 $(BIN)/python -m pytest -s tests/test_chaos.py \
	  tests/test_schema.py::test_a_store_damaged_anywhere_is_refused_or_tells_the_truth \
	  tests/test_store.py::test_a_run_is_recorded_once_the_store_is_no_longer_locked

lock:
	$(COMPILE) --extra cluster --extra postgresql --extra dev --output-file requirements-all.lock
	$(COMPILE) --constraint requirements-all.lock --output-file requirements.lock
	$(COMPILE) --constraint requirements-all.lock --extra gpu --output-file requirements-gpu.lock

# Wheels only, but for the two packages of pure Python that have none.
lock-check:
	@for system in $(SYSTEMS); do for version in $(VERSIONS); do \
	  $(BIN)/uv pip install --quiet --no-config --dry-run --target .venv/nothing --require-hashes \
	    --only-binary :all: --no-binary promise --no-binary seqeval \
	    --python-version $$version --python-platform $$system --requirement requirements-all.lock || exit 1; \
	  echo "Python $$version, $$system: every package has a file that fits"; done; done
	@rm -rf .venv/nothing

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed, with its venv module, and none was found; install one, or name it with make PYTHON=/path/to/python3.13" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name another with make PYTHON=/path/to/python3.13" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/ready: requirements.lock .venv/bin/pip $(if $(GPU),.venv/gpu)
	@echo "installing the packages of $< into .venv (3 GB, one to two minutes)"
	@$(INSTALL) $<
	@touch $@

.venv/all: requirements-all.lock .venv/ready
	@echo "installing the packages of $< into .venv"
	@$(INSTALL) $<
	@touch $@

.venv/gpu: requirements-gpu.lock .venv/bin/pip
	@echo "installing the packages of $< into .venv (7 GB)"
	@$(INSTALL) $<
	@touch $@
