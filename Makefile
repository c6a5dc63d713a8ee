# make demo   builds the environment, runs a study and its report on a small sample (two minutes after installation)
# make test   builds the environment if needed, checks style and passes the tests
# make chaos  kills, stops, races and damages what runs, many times (half an hour); docs/reliability.md says what came of it
# make lock   pins every package anew, from pyproject.toml (needs uv: pip install uv)
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin

.PHONY: demo test chaos lock

demo: .venv/ready
	$(BIN)/python exp_bs_mrpc.py --demo
	$(BIN)/python make_report.py --demo

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile

chaos: .venv/ready
	BERT_GLUE_CHAOS=1 $(BIN)/python -m pytest -s tests/test_chaos.py \
	  tests/test_schema.py::test_a_store_damaged_anywhere_is_refused_or_tells_the_truth \
	  tests/test_store.py::test_a_run_is_recorded_once_the_store_is_no_longer_locked

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements.lock

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: Python 3.11 is needed, and $(PYTHON) is another or missing: install it and call again, or name it with make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@
