# Each target starts from a bare machine (python3 >= 3.11 with venv, make, git) and installs what it needs into a
# virtual environment of its own. `make help` lists them.

STACK ?= modern#      which versions: a file in stacks/
PYTHON ?=#            the interpreter to use; empty: the first on the PATH that the stack takes
TESTS ?=#             what to test, e.g. TESTS=tests/test_clips.py or TESTS="-k stem"
JOBS ?= 2#            test processes at once; each may need 4 GB. 0: in one process, as for a debugger

VERSIONS.modern := 3.11 3.12 3.13
VERSIONS.card := 3.11
VERSIONS.io := 3.11
EXTRAS.modern := cpu,openvino,onnx,litert,backends,beam,parity,servers,kserve,dev
EXTRAS.card := cpu,openvino,onnx,litert,io,addons,servers,s3-server,dev
EXTRAS.io := cpu,io,servers,s3-server,dev
stack := $(strip $(STACK))
ifndef VERSIONS.$(stack)
$(error STACK=$(stack) is unknown; stacks/ has modern (the default), card and io)
endif

VENV ?= $(if $(filter modern,$(stack)),.venv,.venv-$(stack))
venv := $(strip $(VENV))
PY := $(venv)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --no-input -c stacks/$(stack).txt
NODEPS := $(wildcard stacks/$(stack).nodeps.txt)
ifneq ($(strip $(PYTHON)),)
ifneq ($(wildcard $(PY)),)
version_of = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifneq ($(call version_of,$(PY)),$(call version_of,$(PYTHON)))
$(error $(venv) is of Python $(call version_of,$(PY)), not of $(strip $(PYTHON)). Remove it, or add VENV=.venv-NAME for another)
endif
endif
endif
BUILDIFIER := .tools/node_modules/.bin/buildifier
BAZEL_FILES := BUILD MODULE.bazel
.DEFAULT_GOAL := help
.PHONY: help venv demo test lint format bazel bench clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  options: STACK=modern|card|io  PYTHON=python3.12  TESTS=tests/test_clips.py  JOBS=2"

demo: $(venv)/.has-demo ## train, export and serve a small network on this machine, in minutes
	$(venv)/bin/r21d demo --out=demo

test: $(venv)/.has-tests lint ## lint, then every test (STACK=card: on the old TensorFlow too)
	@echo "==> tests on the $(stack) stack"
	$(PY) -m pytest -n $(JOBS) --dist loadfile --max-worker-restart=0 --durations=10 $(TESTS)

venv: $(venv)/.has-tests ## the virtual environment alone, with all that the tests need
	@echo "==> $(venv) is ready: . $(venv)/bin/activate"

lint: $(venv)/.has-lint ## ruff, and buildifier where npm is at hand
	@echo "==> lint"
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(BUILDIFIER) && \
	    $(BUILDIFIER) -mode=check -lint=warn $(BAZEL_FILES) && echo "buildifier: $(BAZEL_FILES) are fine"; \
	else echo "buildifier skipped: it comes from npm, and there is no npm here"; fi

format: $(venv)/.has-lint ## let ruff and buildifier rewrite what lint complains of
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(BUILDIFIER) && \
	    $(BUILDIFIER) -lint=fix $(BAZEL_FILES); fi

bazel: $(venv)/.has-tests ## build and test with the system's Bazel, without network
	tools/bazel/run $(PY)

bench: $(venv)/.has-tests ## side by side with torchvision on this machine, into benchmarks/results.md
	$(PY) -m benchmarks

clean: ## remove what builds and tests left
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environments and tools too
	rm -rf .venv .venv-* .tools

# Stamps: made once, and again when the packaging changes.
$(PY):
	tools/make_venv $(venv) "$(strip $(PYTHON))" $(VERSIONS.$(stack))

$(venv)/.has-demo: pyproject.toml stacks/$(stack).txt | $(PY)
	@echo "==> $(venv): what the demo needs"
	$(PIP) -e '.[cpu]'
	@touch $@

$(venv)/.has-tests: pyproject.toml stacks/$(stack).txt $(NODEPS) | $(PY)
	@echo "==> $(venv): what the tests need ($(EXTRAS.$(stack)))"
	$(PIP) -e '.[$(EXTRAS.$(stack))]'
	$(if $(NODEPS),$(PIP) --no-deps -r $(NODEPS))
	@touch $@ $(venv)/.has-demo $(venv)/.has-lint

$(venv)/.has-lint: stacks/$(stack).txt | $(PY)
	$(PIP) ruff
	@touch $@

$(BUILDIFIER):
	@echo "==> buildifier"
	npm install --silent --no-audit --no-fund --prefix .tools @bazel/buildifier@8.2.1
