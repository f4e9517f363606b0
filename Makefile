# Interfaces that stay: setup, check, test, generate. `make help` lists everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
VENV_BENCH := .venv-bench
SOURCES := operator/src gateway/src cli/src client/src console/src
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.installed ## Make .venv with everything a checkout needs without a cluster

$(VENV)/.installed: requirements/dev.txt operator/pyproject.toml gateway/pyproject.toml cli/pyproject.toml client/pyproject.toml \
		console/pyproject.toml tools/console-assets
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--editable client --editable operator --editable gateway --editable cli --editable console
	tools/console-assets
	touch $@

.PHONY: check
check: lint ## Lint, types, import contracts, unit, golden and contract tests: under two minutes
	$(BIN)/pytest -q tests/unit tests/golden tests/contract

.PHONY: lint
lint: setup ## Lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: ## Everything CI runs: every test, on a real cluster too. Installs what it needs (Debian 12, Go, root)
	@tests/run

.PHONY: e2e
e2e: setup peers ## The tests of the operator on a real cluster alone
	tests/e2e/run

.PHONY: peers
peers: ## Install the DICOM software that the tests talk to (Debian packages, as root)
	tests/install-peers

.PHONY: kubernetes
kubernetes: ## Build Kubernetes, CoreDNS and Helm into the user's cache directory
	tests/cluster/build

.PHONY: images
images: ## Build the images of operator, gateway and console (BASE_IMAGE, IMAGE_REGISTRY: see tools/images)
	tests/cluster/install
	tools/images operator gateway console

.PHONY: cluster-up
cluster-up: setup images ## Start the embedded cluster, with both images in it
	tests/cluster/up $$(tools/images | awk '{print $$2}')

.PHONY: cluster-down
cluster-down: ## Stop the embedded cluster
	tests/cluster/down

.PHONY: demo
demo: ## The main job on a real cluster: from an empty machine to a study in an archive
	@tools/demo

.PHONY: demo-down
demo-down: cluster-down ## Stop what the demo has started; only the cache stays

.PHONY: try
try: setup ## The main job on this machine, without a cluster and without root: a scanner, a route, two archives
	@$(BIN)/python tools/try.py

.PHONY: generate
generate: setup ## Write everything that is made from the sources: CRDs, schemas, reference documents
	$(BIN)/python -m dicomroute_operator.kinds.generate crds docs
	$(BIN)/python -m dicomroute_cli.generate cli/src/dicomroute_cli/helps
	$(BIN)/dicomroute-gateway --print-schema > gateway/configuration.schema.json
	$(BIN)/python tools/reasons.py > docs/reference/reasons.md
	$(BIN)/python tools/conformance_statement.py > docs/conformance-statement.md
	$(BIN)/python tools/events.py .
	$(BIN)/python -m dicomroute_console.api.description > docs/reference/console-openapi.json
	$(BIN)/python tools/dashboard.py > charts/dicomroute/files/dashboard.json
	mkdir -p charts/dicomroute/files/crds && cp crds/*.yaml charts/dicomroute/files/crds/

.PHONY: wheel
wheel: setup ## Build wheels of all five packages into WHEELS (dist)
	rm -rf {client,operator,gateway,cli,console}/build  # what is left of the last time would be packed too
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--wheel-dir $(or $(WHEELS),dist) ./client ./operator ./gateway ./cli ./console
	rm -rf {client,operator,gateway,cli,console}/build

.PHONY: golden
golden: setup ## Accept what the renderer makes today as the golden output
	$(BIN)/pytest -q tests/golden tests/integration/test_chart.py --update-golden

.PHONY: requirements
requirements: setup ## Lock the requirements again, with hashes and without addresses
	$(COMPILE) $(UPGRADE) gateway/pyproject.toml --no-emit-package dicomroute-client -o requirements/gateway.txt
	$(COMPILE) $(UPGRADE) operator/pyproject.toml --constraints requirements/gateway.txt --no-emit-package dicomroute-client \
		-o requirements/operator.txt
	$(COMPILE) $(UPGRADE) console/pyproject.toml --constraints requirements/gateway.txt \
		--constraints requirements/operator.txt --no-emit-package dicomroute-client \
		-o requirements/console.txt
	$(COMPILE) $(UPGRADE) requirements/build.in -o requirements/build.txt
	$(COMPILE) $(UPGRADE) requirements/audit.in -o requirements/audit.txt
	$(COMPILE) $(UPGRADE) requirements/bench-deid.in -o requirements/bench-deid.txt
	$(COMPILE) $(UPGRADE) operator/pyproject.toml gateway/pyproject.toml cli/pyproject.toml console/pyproject.toml \
		requirements/dev.in --constraints requirements/console.txt --constraints requirements/operator.txt --constraints requirements/gateway.txt \
		--no-emit-package dicomroute-operator --no-emit-package dicomroute-gateway --no-emit-package dicomroute-client --no-emit-package dicomroute-console \
		-o requirements/dev.txt

.PHONY: audit
audit: ## Look up known vulnerabilities of everything that is locked, as far as the package registry tells
	python3 -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/audit.txt
	for name in gateway operator console build dev; do \
		echo "requirements/$$name.txt"; .venv-audit/bin/pip-audit --disable-pip --require-hashes -r requirements/$$name.txt || status=1; \
	done; exit $${status:-0}

.PHONY: bench
bench: setup peers ## Measure receiving and delivering beside other systems, twenty minutes (BENCH=--quick: five)
	tests/install-packages strace
	$(BIN)/python tests/bench/bench.py $(BENCH)

.PHONY: test-kills
test-kills: setup ## Kill the gateway 400 times in each of ROUNDS (8: about 10 minutes), at every step and at random
	DICOMROUTE_KILL_ROUNDS=$(or $(ROUNDS),8) $(BIN)/pytest -q -n 2 -rP tests/integration/test_kill.py

.PHONY: test-clients
test-clients: setup peers ## Let six independent clients send public files, and write docs/reference/clients.md (needs cargo, npm)
	$(BIN)/python tests/clients/matrix.py

.PHONY: test-deid
test-deid: setup ## De-identify COPIES (40) instances of each SOP class with planted identifiers, and look for what is left
	DICOMROUTE_DEID_COPIES=$(or $(COPIES),40) $(BIN)/pytest -q --timeout 3600 tests/integration/test_deidentified_corpus.py -k "left or large"

.PHONY: fuzz
fuzz: setup ## De-identify damaged instances for MINUTES (60): each is withheld, or what comes out holds its promises
	$(BIN)/python tests/fuzz/deidentify.py --minutes $(or $(MINUTES),60)

.PHONY: test-console
test-console: setup peers kubernetes ## The tests of the console alone: in a real browser, and at a real API server
	$(BIN)/pytest -q tests/unit/console tests/integration/test_console.py tests/integration/test_console_cluster.py \
		tests/integration/test_console_sign_in.py tests/integration/test_console_configuration.py \
		tests/integration/test_console_api.py tests/integration/test_console_retrieving.py

.PHONY: screenshots
screenshots: setup peers ## Make the pictures of the console's pages in docs/images again
	$(BIN)/python tests/screenshots.py

.PHONY: soak
soak: setup ## Watch memory, descriptors and spool under load for MINUTES (30)
	$(BIN)/python tests/bench/soak.py $(MINUTES)

.PHONY: bench-micro
bench-micro: setup ## Time own codecs, and storing at a storescp, beside the libraries they replace
	$(BIN)/python tests/bench/micro.py
	$(BIN)/python tests/bench/micro_store.py

.PHONY: bench-studies
bench-studies: setup ## Measure what following studies costs: processor time of receiving, memory of 10,000 open ones
	$(BIN)/python tests/bench/open_studies.py $(BENCH)

.PHONY: bench-versions
bench-versions: setup ## Measure processor time of an instance beside an earlier version (BENCH='--before COMMIT'), 15 rounds
	$(BIN)/python tests/bench/versions.py $(BENCH)

.PHONY: bench-operator
bench-operator: setup ## Measure the operator with a thousand routes on simulated nodes (about twenty minutes)
	$(BIN)/python tests/bench/thousand_routes.py $(ROUTES)

.PHONY: bench-deid
bench-deid: setup $(VENV_BENCH)/.installed ## Measure de-identifying beside three libraries, receiving beside it, and its memory (DEID=: options)
	$(BIN)/python tests/bench/deidentify.py $(DEID)

$(VENV_BENCH)/.installed: requirements/bench-deid.txt
	python3 -m venv $(VENV_BENCH)
	$(VENV_BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements/bench-deid.txt
	touch $@

.PHONY: format
format: setup ## Format the sources
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove what this checkout has made; the caches stay
	rm -rf $(VENV) $(VENV_BENCH) .venv-audit .dicomroute .mypy_cache .pytest_cache .ruff_cache .hypothesis
