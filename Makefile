# Everything a contributor types. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(firstword $(shell command -v python3.11 python3) python3.11)
ARGS ?=
BIN := .venv/bin
MEMBERS := libs/protocol libs/runtime services/edge services/auth services/router services/notifier clients/python cli examples/orders
MEMBER_FILES := $(MEMBERS:%=%/pyproject.toml)

# The interpreter is the machine's own: uv must not fetch one.
export UV_PYTHON_DOWNLOADS := never
# Bytecode is kept even where the environment says otherwise, as containers often do: each of the hundreds of processes
# that a test run starts would compile some 500 modules anew, which is half of what starting a service costs.
export PYTHONDONTWRITEBYTECODE :=
# Like pip, trust what the machine trusts: behind a company's proxy the certificates that uv brings along do not do.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt),true,false)

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: .venv/.installed  ## start everything on this machine and print one URL (options: ARGS="--ports 0")
	@exec $(BIN)/whimbrel dev $(ARGS)

.PHONY: test
test: .venv/.installed  ## run the tests (some of them: ARGS="tests/protocol -k position")
	$(BIN)/pytest --numprocesses 5 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: check
check: lint types js  ## run every check that needs no running service: these three, nats.conf, the Kubernetes manifests
	deploy/check

.PHONY: setup
setup: .venv/.installed  ## make .venv with what requirements.lock lists (the others do it when needed)

.PHONY: fmt
fmt: .venv/.installed  ## format the Python code and mend what ruff can mend
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

.PHONY: lint
lint: .venv/.installed  ## check format, lint, layers, the tree, and that generated files are current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter
	$(BIN)/python -m whimbrel.protocol.contract --check
	$(BIN)/pytest --quiet tests/architecture

.PHONY: types
types: .venv/.installed  ## check the types of all Python code with mypy
	$(BIN)/mypy $(MEMBERS:%=%/src) clients/python/reference.py deploy tests $(wildcard bench)

.PHONY: js
js: clients/js/node_modules/.installed  ## check the types of the JavaScript client with tsc, and run its tests
	cd clients/js && node_modules/.bin/tsc && node --test tests/*.test.js

.PHONY: generate
generate: .venv/.installed clients/js/node_modules/.installed  ## write what is derived: schemas, reference pages, JavaScript types
	$(BIN)/python -m whimbrel.protocol.contract
	$(BIN)/python clients/python/reference.py
	cd clients/js && node reference/generate.js

.PHONY: bench
bench: .venv/.installed  ## measure this machine: CPU, memory, latency (beside others too: ARGS="--peers")
	@$(BIN)/python -m bench $(ARGS)

.PHONY: conformance
conformance: .venv/.installed  ## run the Autobahn test suite against the edge's WebSocket (the first time builds a chroot, as root)
	@$(BIN)/python -m tests.conformance $(ARGS)

.PHONY: faults
faults: .venv/.installed  ## break everything at random and check that nothing is lost (half an hour or more; ARGS="--runs 10")
	@$(BIN)/python -m tests.faults $(ARGS)

.PHONY: lock
lock: .venv/.installed  ## resolve dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  $(shell sed -n 's/^name = "\(whimbrel-.*\)"/--no-emit-package \1/p' $(MEMBER_FILES)) \
	  --custom-compile-command "make lock" --output-file requirements.lock --group pyproject.toml:dev --extra dev $(MEMBER_FILES)

.PHONY: clean
clean:  ## remove all that these targets made, the development store included
	rm -rf .venv .cache .whimbrel .hypothesis clients/js/node_modules

.venv/.installed: requirements.lock $(MEMBER_FILES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null || \
	  { echo "Whimbrel needs Python 3.11 or newer: '$(PYTHON)' is not one. Install it, or name yours: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Installing into .venv (about 130 MB to fetch, the first time):"
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || \
	  { echo "'$(PYTHON)' has no pip: install it, or the venv module that brings it (on Debian: apt-get install python3-pip)." >&2; exit 2; }
	@sed -n '/^uv==/,/# via/p' requirements.lock > .venv/uv.txt
	@{ $(PYTHON) -m pip --version >/dev/null 2>&1 && pip="$(PYTHON) -m pip --python $(BIN)/python" || pip="$(BIN)/python -m pip"; \
	  $$pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt; }
	@$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock 2>&1 | sed -u '/^ [+~-] /d'
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation $(MEMBERS:%=--editable %)
	@touch $@

clients/js/node_modules/.installed: clients/js/package.json clients/js/package-lock.json
	@command -v npm >/dev/null || { echo "The checks of the JavaScript client need Node.js 18 or newer with npm; running Whimbrel does not." >&2; exit 2; }
	@cd clients/js && npm ci --silent --no-audit --no-fund
	@touch $@
