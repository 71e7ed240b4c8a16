# make demo    everything set up, a simulated experiment produced and compared with its truth
# make test    everything set up, the tests, among them whole productions
# make coverage  the tests without whole productions, with what they do not reach
# make bench   speed beside what users have, by goal, into build/bench       (more than an hour, idle machine)
# make torture slow campaigns: kills, full disks, broken input             (hours)
# make docs    the generated parts of docs/

SHELL := /bin/sh
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
DEV := tools/dev/bin/python
# of this folder: sh does not tell where a sourced file lies, and another environment may have been set up before
SETUP := unset PRODENV && . ./setup.sh

# tests start hundreds of commands, which take twice as long where Python may keep no byte code
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test checked coverage lint bench torture docs tools dev packages

demo: tools
	@$(SETUP) && dataprod demo run -j $(CORES)

tools:
	@$(SETUP) && prodenv-tools

packages:
	@$(SETUP) && prodenv-tools --dev --no-compile

dev: packages
	@$(SETUP) && prodenv-tools --dev

# style and types need nothing compiled, which takes minutes on one core the first time
checked: dev lint

# one process more than cores: tests wait for clusters, limits of time and downloads for a sixth of their time
# one thread of OpenBLAS, as in jobs: others wait on a processor that another test could use
test:
	@$(MAKE) --no-print-directory -j 2 checked
	@$(SETUP) && OPENBLAS_NUM_THREADS=1 $(DEV) -m pytest -n $$(($(CORES) + 1)) --dist loadfile --durations=20

coverage: dev
	@$(SETUP) && $(DEV) -m pytest -m "not production" --cov=dataflow --cov=dataprod --cov=prodenv --cov-report=term-missing:skip-covered

lint: packages
	@mkdir -p build
	@$(DEV) -m ruff check .
	@$(DEV) -m ruff format --check .
	@PYTHONPATH=prodenv/src:dataflow/src tools/dev/bin/lint-imports --no-cache > build/imports.txt || { cat build/imports.txt; exit 1; }
	@$(DEV) -m mypy prodenv/src/prodenv prodenv/src/snakemake_logger_plugin_dataprod dataflow/src/dataflow demo/src/gebox benchmarks torture

docs: dev
	@$(SETUP) && $(DEV) docs/generate.py

bench: dev
	@$(SETUP) && $(DEV) benchmarks/goals.py

torture: dev
	@$(SETUP) && $(DEV) -m pytest torture -p no:cacheprovider
