# Two commands on a fresh machine: `make demo`, then `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# torch's thread pool spins by default and starves whatever else runs
export OMP_WAIT_POLICY := passive

.PHONY: demo help test test-slow fuzz crash same hil-core rtl-exhaustive rtl-mutants results lint bench bench-commit bench-growth bench-peers zoo test-oldest captures bands clean

# the main job
demo: $(VENV)/.installed
	$(BIN)/simulate --arch sat --pattern 2:8 --model resnet18

# all that can be made
help:
	@awk '/^# / { said = said " " substr($$0, 3); next } /^[a-z-]+:/ { sub(":", "", $$1); printf "make %-16s%s\n", $$1, said } { said = "" }' Makefile

# the tests that a commit waits for
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2

# the tests that take longer
test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m slow

# thousands of spoiled inputs, each held against the same rules: make fuzz SEED=random for fresh ones
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED))

# kills at random moments, full disks, poor places
crash: $(VENV)/.installed-dev
	$(BIN)/python -m tests.crash $(if $(SEED),--seed $(SEED))

# what today's tree gives beside another commit: make same BASE=<commit>; whoever makes a difference says why
same: $(VENV)/.installed-dev
	$(BIN)/python -m tests.same $(BASE)

# whole products through the core in hardware: hundreds of plans, an MLP, a small resnet9
hil-core: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/hil/test_core_slow.py tests/rtl/test_core_dma_axi.py -m slow

# units of the array over all that can go in, or a great deal of it
rtl-exhaustive: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/rtl/test_exhaustive.py -m slow

# faults put into SORE and the PE, and which of them the tests notice
rtl-mutants: $(VENV)/.installed-dev
	$(BIN)/python -m tests.rtl.mutants

# the committed results: says which are stale, and makes them again but for those that take hours
results: $(VENV)/.installed-dev
	$(BIN)/python -m tests.results

# style, types, and the walls between rooms
lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# what running costs beside what was committed, in one table (about half an hour): make bench K=sweep for some of it
bench: $(VENV)/.installed-dev
	mkdir -p .benchmarks
	$(BIN)/python -m pytest tests/bench -o addopts= -m bench -p no:xdist $(if $(K),-k '$(K)') -q \
		--benchmark-timer=time.process_time --benchmark-quiet --benchmark-json=.benchmarks/now.json
	$(BIN)/python -m tests.bench.table

# the rows of the last `make bench` into reports/results/bench/bench.csv
bench-commit: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.table --commit

# what a run costs against ops, batch and sequence length: a table and a plot
bench-growth: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.growth

# other simulators, in an environment of their own since they pin other versions of what we use; then all benchmarks
bench-peers: $(VENV)/.installed-dev
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q scalesim==3.0.0 zigzag-dse==3.9.1 six 'numpy<2.3'
	$(MAKE) bench

# models of others, in an environment of their own: what is recorded of each against a count that is not ours
zoo: .venv-zoo/.installed
	HF_HUB_OFFLINE=1 .venv-zoo/bin/python -m pytest tests/zoo

.venv-zoo/.installed: tests/zoo/requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv-zoo
	.venv-zoo/bin/python -m pip install -q -r tests/zoo/requirements.txt -e '.[train]'
	touch $@

# sparsify first: torch 2.6 cannot compile any more once other tests have used its tables of decompositions
OLDEST = tests/workloads/test_sparsify.py tests/workloads/test_sparsify_layers.py tests/workloads/test_any_model.py tests/workloads/test_operators.py \
	tests/workloads/test_recorder.py tests/workloads/test_record_module.py tests/workloads/test_layers.py \
	tests/workloads/test_own_loops.py tests/workloads/test_own_loops_optimizers.py tests/workloads/test_record_loop.py

# recording and sparse layers under the oldest torch that is allowed, in an environment of its own
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest $(OLDEST)

.venv-oldest/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install -q torch==2.6.0 -e '.[dev,train]'
	touch $@

# the recorded steps of our models
captures: $(VENV)/.installed-dev
	$(BIN)/python -m workloads.recording.capture --all

# how far everything assumed moves every model's speed-up: again whenever a machine file or a model has changed
bands: $(VENV)/.installed-dev
	$(BIN)/python -m reports.bands

# the environment and the tools' caches away
clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install -q -e '.[train,report,rtl,cluster,search,dev]'
	touch $(VENV)/.installed $@
