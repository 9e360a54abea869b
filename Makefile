# Each target makes its own environment, so that it works on a fresh machine.
PYTHON ?= python3
DEMO_ENV := .venv-demo
TEST_ENV := .venv
EXAMPLES ?= 20000
KILLS ?= 100
ROWS ?= 1000 10000 100000 1000000
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := true

.PHONY: demo test lint fuzz faults docs reference bench bench-model families time-to-labels two-skills wheel-test environments \
	clean

demo: $(DEMO_ENV)/ready  ## the real pipeline on the bundled data
	$(DEMO_ENV)/bin/pet run quickstart --output-dir runs/quickstart --force

test: $(TEST_ENV)/ready  ## unit tests first, then the slow ones
	$(TEST_ENV)/bin/pytest -m "not slow" -n logical --dist loadfile --no-loadscope-reorder
	$(TEST_ENV)/bin/pytest -m slow -n logical tests

lint: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .
	$(TEST_ENV)/bin/mypy

fuzz: $(TEST_ENV)/ready  ## the corpus of awkward files, changed at random for some minutes: EXAMPLES=20000 files
	PET_FUZZ_EXAMPLES=$(EXAMPLES) $(TEST_ENV)/bin/pytest --timeout=0 tests/corpus/test_fuzz.py

faults: $(TEST_ENV)/ready  ## runs of several generations, killed at random moments, KILLS=100 times: the same bytes
	PET_FAULT_KILLS=$(KILLS) $(TEST_ENV)/bin/pytest -m slow -s --timeout=0 tests/test_resume.py -k kill

docs: $(TEST_ENV)/ready  ## the pages of docs/ as a site in build/docs; a warning is an error; links to the web are listed
	$(TEST_ENV)/bin/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	@grep -rhoE 'https?://[^][ )>"`]+' README.md CONTRIBUTING.md data docs --include='*.md' | sort -u

reference: $(TEST_ENV)/ready  ## the pages of docs/reference, made anew from the code
	cd tests && ../$(TEST_ENV)/bin/python -m reference.make

bench: $(TEST_ENV)/ready  ## speed as ratios, results in bench/: DATA=folder for real texts, ROWS="..." for other pools
	mkdir -p bench
	$(TEST_ENV)/bin/python tests/benchmarks/speed.py $(DATA) --json bench/speed.json
	$(TEST_ENV)/bin/python tests/benchmarks/scoring.py
	$(TEST_ENV)/bin/python tests/benchmarks/several_masks.py
	$(TEST_ENV)/bin/python tests/benchmarks/steps.py --json bench/steps.json
	$(TEST_ENV)/bin/python tests/benchmarks/pretraining.py --json bench/pretraining.json
	$(TEST_ENV)/bin/python tests/benchmarks/whole_run.py $(DATA) --seeds 1 --json bench/whole_run.json
	$(TEST_ENV)/bin/python tests/benchmarks/pool.py --sizes $(ROWS) --json bench/pool.json

bench-model: $(TEST_ENV)/ready  ## MODEL=folder against pet-mini, on the tasks in DATA=folder: a table for its card
	$(TEST_ENV)/bin/python tests/benchmarks/bench_model.py $(MODEL) $(DATA)

time-to-labels: $(TEST_ENV)/ready  ## CPU-seconds by stage, and rivals': DATA=folder; SETFIT=python that has setfit
	mkdir -p bench
	$(TEST_ENV)/bin/python tests/benchmarks/time_to_labels.py $(DATA) $(if $(SETFIT),--setfit-python $(SETFIT)) \
		--kept bench/time_to_labels.jsonl --json bench/time_to_labels.json

families: $(TEST_ENV)/ready  ## what each family of models in transformers can do here: the table of the docs
	cd tests && OMP_NUM_THREADS=1 ../$(TEST_ENV)/bin/python -m benchmarks.families > families.tmp
	mv tests/families.tmp docs/families.md

two-skills: $(TEST_ENV)/ready  ## the toy model of the tests of prompt variants, made anew
	cd tests && OMP_NUM_THREADS=1 ../$(TEST_ENV)/bin/python -m two_skills.make

wheel-test: $(TEST_ENV)/ready  ## tests of the built wheel, with the sources out of reach
	sh tests/wheel.sh $(PYTHON)

environments: $(DEMO_ENV)/ready $(TEST_ENV)/ready  ## make --jobs 2 environments: side by side

# torch by itself first: the pinned version, also where an index offers larger builds.
$(DEMO_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_ENV)
	$(DEMO_ENV)/bin/pip install --quiet -c constraints.txt torch
	$(DEMO_ENV)/bin/pip install --quiet -c constraints.txt -e .
	touch $@

$(TEST_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/bin/pip install --quiet -c constraints.txt torch
	$(TEST_ENV)/bin/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(DEMO_ENV) $(TEST_ENV) build dist runs bench
