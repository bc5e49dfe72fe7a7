# make demo: hear it.  make test: prove it.  make help: the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
LOG := $(VENV)/install.log
PINS := -c constraints.txt
PACKAGES := pyproject.toml constraints.txt
# The network that hears notes: its wheel declares TensorFlow, but only one ONNX file of it is read.
TRANSCRIPTION := basic-pitch==0.4.0
# Two processes a core of a small machine: the tests of whole servers wait for them half of the
# time. PYTEST_ARGS="-n 0 -x tests/unit" runs one part in order.
PYTEST_ARGS ?= -n 4 --dist worksteal
# EXAMPLES_ARGS=--all renders your own presets too.
EXAMPLES_ARGS ?=

# $(call pip,what is installed,arguments): one quiet line; the log only where it fails.
define pip
printf '%-48s' '$(1)'; started=$$SECONDS; \
if $(PYTHON) -m pip install --disable-pip-version-check $(2) >>$(LOG) 2>&1; \
then echo "$$((SECONDS - started)) s"; else echo 'failed'; false; fi
endef
explain = { echo; tail -n 15 $(LOG); echo; echo 'The whole log is in $(LOG).'; exit 1; }

.PHONY: help venv assets demo demo-ad examples serve test lint bench constraints clean

help:  ## Show this list
	@echo 'Audio in, a preset or a sentence in, the same music out played by something else.'; echo
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
		|| sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile

demo: venv  ## Play the bundled riff as a string quartet, into demo/
	@$(PYTHON) -m server demo

demo-ad: venv  ## Put an advertisement into a bundled song where it fits, into demo/
	@$(PYTHON) -m server demo-ad

examples: venv  ## Render the riff with every preset, to be heard beside the page's chooser
	@$(PYTHON) -m server examples $(EXAMPLES_ARGS)

serve: venv  ## Run everything on this machine: web, worker, queue, database
	@$(PYTHON) -m server serve

test: $(VENV)/.test  ## Install what the tests need and run them all
	@$(PYTHON) -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.lint  ## Check style, types and the direction of imports
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports

bench: venv  ## Measure this machine and write docs/benchmarks.md
	@$(PYTHON) -m bench

venv: $(VENV)/.assets  ## Make .venv with what runs the product (no torch), and fetch the two assets

assets:  ## Try again to fetch the transcription network and the sound bank
	@rm -f $(VENV)/.assets
	@$(MAKE) venv

constraints: $(VENV)/.base  ## Choose the newest versions of all packages and pin them
	@$(call pip,Installing the resolver,uv) || $(explain)
	@$(VENV)/bin/uv pip compile --quiet --universal --all-extras --upgrade \
		--no-annotate --no-header --output-file constraints.txt pyproject.toml
	@echo 'constraints.txt is new: run make test before you keep it.'

clean:  ## Remove what was built here; data/ and demo/ stay
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed. Each stamp is a file, so that a second run costs nothing.

$(PYTHON):
	@for name in python3.11 python3.12 python3.13 python3.14 python3; do \
		if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then found=$$name; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
		echo 'Python 3.11 or newer was not found. On Debian and Ubuntu: apt-get install python3 python3-venv'; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	if ! problem=$$("$$found" -m venv $(VENV) 2>&1); then \
		rm -rf $(VENV); echo "$$problem"; exit 1; \
	fi

$(VENV)/.base: $(PACKAGES) | $(PYTHON)
	@$(call pip,Installing the product (once),$(PINS) -e .) || $(explain)
	@touch $@

$(VENV)/.assets: $(VENV)/.base
	@$(call pip,Fetching the transcription network,--no-deps $(TRANSCRIPTION)) \
		|| echo '  Not reachable: a plainer ear is used instead. make assets tries again.'
	@$(PYTHON) -m server assets || true
	@touch $@

$(VENV)/.test: $(VENV)/.assets
	@$(call pip,Installing what the tests need (once),$(PINS) -e '.[test]') || $(explain)
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	@$(call pip,Installing the checkers (once),$(PINS) -e '.[lint]') || $(explain)
	@touch $@
