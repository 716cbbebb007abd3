# Every target sets up what it needs; `make setup` does the environment alone, in .venv.
PYTHON ?= python3
PY := .venv/bin/python
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
SHARDS := $(shell $(PYTHON) -c "n = max(1, int('$(CORES)')); print(','.join(f'[{i},{n}]' for i in range(n)))")
EXTRAS := eeg,vision,points,physics,pulsars,manifold,cluster,loggers,dev

.PHONY: setup bench test lint method gate report clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12 setup')"
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q -c constraints.txt torch
	$(PY) -m pip install -q -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

# The main job on all cores, one process each, then its table.
bench: setup
	$(PY) bench/run.py --multirun experiment=gbw_rbn/mamem 'shard=$(SHARDS)' hydra/launcher=joblib trainer.threads=1; \
	  code=$$?; $(PY) -m bench report experiment=gbw_rbn/mamem --md results/mamem_reduced.md && exit $$code

test: setup
	$(PY) -m pytest -n $(CORES) --dist worksteal

lint: setup
	$(PY) -m ruff check .
	$(PY) -m mypy

# One plugin: its contract test, its own tests, its smoke cell.
method: setup
	@test -n "$(M)" || { echo "usage: make method M=gbw_rbn"; exit 2; }
	$(PY) -m pytest tests/test_contract.py -k "$(M)"
	for t in $(wildcard tests/test_$(M).py); do $(PY) -m pytest $$t || exit 1; done
	$(PY) bench/run.py method=$(M) scale=smoke fold=0

# The cells on all cores, one process each; the gate then reads them, and runs those that are missing.
gate: setup
	-$(PY) bench/run.py --multirun suite=ci 'shard=$(SHARDS)' hydra/launcher=joblib trainer.threads=1 reuse=fresh
	$(PY) -m bench gate suite=ci

# The HTML report and the account of paper versus ours.
report: setup
	$(PY) -m bench report
	$(PY) -m bench claims --md results/REPRODUCTION.md

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache *.egg-info results/cells results/.sweeps
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
