# The commands of bayesmix. `make help` lists them; all that they install goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Commands in processes of their own would compile the package each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# Two set-ups at once would write to the same .venv.
.NOTPARALLEL:
.PHONY: help demo test test-slow newer lint types notebook docs package lowest check clean venv

help:
	@echo "make demo      set up, then how many kinds of eruption Old Faithful has"
	@echo "make test      set up, then the tests that are not marked slow"
	@echo "make test-slow set up, then the tests that are marked slow (nightly ones by pytest alone)"
	@echo "make lint      style and format"
	@echo "make types     the type checker"
	@echo "make notebook  run every notebook"
	@echo "make docs      the documentation, into docs/_build/html"
	@echo "make package   wheel and sdist into dist/, and the wheel at work in an empty environment"
	@echo "make check     all of these but the demo"
	@echo "make newer     the quick tests, and what touches ArviZ and PyMC, under a newer Python and packages, if one is there"
	@echo "make lowest    the tests under the oldest versions that pyproject.toml allows"
	@echo "make clean     remove what the tools leave behind; .venv stays"
	@echo "PYTHON=python3.12 make ... takes another Python than python3 for a new .venv"

demo: $(VENV)/.installed-plot
	@start=$$(date +%s) && $(BIN)/bayesmix demo && echo "demo: $$(($$(date +%s) - start)) s"

# One thread of BLAS in each of the two processes, and tests of a file in one of them.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not nightly"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

notebook: $(VENV)/.installed-dev
	@set -- notebooks/*.ipynb; [ -e "$$1" ] || { echo "notebooks/ holds no notebook yet"; exit 0; }; \
	for each; do echo "running $$each"; $(BIN)/jupyter-execute --timeout=600 "$$each" || exit 1; done

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# The sdist is made of the tree and the wheel of the sdist.
package: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	.ci/try-wheel dist/*.whl

check: lint types test test-slow notebook docs package

# python3.11 must be there, or PYTHON say which Python has wheels of versions that old.
lowest:
	$(if $(filter file,$(origin PYTHON)),,PYTHON=$(PYTHON)) .ci/lowest

newer:
	@$(if $(filter file,$(origin PYTHON)),,PYTHON=$(PYTHON)) .ci/newer

clean:
	rm -rf build dist docs/_build docs/*/generated *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

# One stamp an extra: made when its set-up is through, out of date when pyproject.toml has changed.
# The extra dev includes plot.
$(VENV)/.installed-%: pyproject.toml | venv
	@echo "setting up $(VENV) with the extra '$*' (the first time takes a minute or two)"
	@start=$$(date +%s) && $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]' \
		&& touch $@ $(if $(filter dev,$*),$(VENV)/.installed-plot) && echo "set-up: $$(($$(date +%s) - start)) s"

# Stops with a sentence unless $(1) is a Python that bayesmix runs on.
define recent
$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	found=$$($(1) -c 'import sys; print("Python " + sys.version.split()[0])' 2>/dev/null || echo "not to be had"); \
	echo "bayesmix needs Python 3.11 or later, and $(1) is $$found: $(2)" >&2; exit 1; }
endef
minor = $$($(1) -c 'import sys; print("Python %d.%d" % sys.version_info[:2])')

# A .venv that works is kept; a half-made one is finished. A Python that was asked for is not passed over.
venv:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		$(call recent,$(PYTHON),name another as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'); \
		$(PYTHON) -m venv $(VENV) || { \
			echo "$(PYTHON) could not make $(VENV): is its venv module there (Debian: apt install python3-venv)?" >&2; exit 1; }; }
	@$(call recent,$(BIN)/python,remove $(VENV) and try again)
ifneq ($(origin PYTHON),file)
	@$(call recent,$(PYTHON),name another as in 'make PYTHON=python3.12 $(MAKECMDGOALS)')
	@asked="$(call minor,$(PYTHON))"; held="$(call minor,$(BIN)/python)"; [ "$$asked" = "$$held" ] || { \
		echo "$(PYTHON) is $$asked and $(VENV) holds $$held: remove $(VENV) to change" >&2; exit 1; }
endif
