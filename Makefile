# Everything a contributor types. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
export UV_PYTHON_DOWNLOADS := never

PYTHON ?= python3.11
BIN := .venv/bin
MEMBERS := libs/protocol libs/runtime services/edge services/auth services/router services/notifier clients/python cli examples/orders
MEMBER_FILES := $(MEMBERS:%=%/pyproject.toml)
ARGS ?=

.PHONY: help
help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: run
run: .venv/.installed  ## start everything on this machine and print one URL (options: ARGS="--ports 0")
	@exec $(BIN)/whimbrel dev $(ARGS)

.PHONY: setup
setup: .venv/.installed  ## make .venv with everything in requirements.lock (done by the others when needed)

.PHONY: test
test: .venv/.installed  ## run the tests (options: ARGS="tests/protocol -k position")
	$(BIN)/pytest $(ARGS)

.PHONY: lock
lock: .venv/.installed  ## resolve the members' dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  $(shell sed -n 's/^name = "\(whimbrel-.*\)"/--no-emit-package \1/p' $(MEMBER_FILES)) \
	  --custom-compile-command "make lock" --group pyproject.toml:dev --extra dev $(MEMBER_FILES) --upgrade --output-file requirements.lock

.venv/.installed: requirements.lock $(MEMBER_FILES)
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Whimbrel needs Python 3.11 as '$(PYTHON)'; install it, or name another: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module; on Debian: apt-get install python3.11-venv" >&2; exit 2; }
	@echo "Making .venv from requirements.lock; the first time takes a minute."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/# via/p' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
	@$(BIN)/uv pip sync --require-hashes --python $(BIN)/python requirements.lock 2>&1 | sed -u '/^ [+~-] /d'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(MEMBERS:%=--editable %)
	@touch $@
