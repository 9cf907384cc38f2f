# atsync. `make` alone lists the targets. Needed: Go (see go.mod), a C compiler, make.

GO        ?= go
PACKAGES  ?= ./...
BIN       := $(CURDIR)/bin
DEMO_DIR  ?=
FUZZTIME  ?= 10s

# Tools are pinned here and nowhere else.
GOLANGCI_VERSION    := v2.15.0
GOVULNCHECK_VERSION := v1.8.0

GOLANGCI := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build ./bin/atsync
	$(GO) build -trimpath -o $(BIN)/atsync ./cmd/atsync

.PHONY: test
test: ## Run all tests
	$(GO) test -timeout 10m $(PACKAGES)

.PHONY: race
race: ## Run all tests under the race detector
	$(GO) test -race -timeout 20m $(PACKAGES)

PAGES := ./cmd/atsync/internal/web/browsertest

.PHONY: pages
pages: ## Look at the status pages in a browser (needs chromium)
	$(GO) test -count=1 -tags pages -timeout 5m $(PAGES)

.PHONY: screenshots
screenshots: ## Take the pictures in docs/images anew
	ATSYNC_SCREENSHOTS=$(CURDIR)/docs/images $(GO) test -count=1 -tags pages -timeout 5m -run TestPages $(PAGES)

.PHONY: lint
lint: golangci windows vuln ## Check style, layers, code for Windows and known vulnerabilities

# What differs by system, and needs no C compiler.
WINDOWS_PACKAGES := ./schemas ./pipeline $(addprefix ./cmd/atsync/internal/,app config console daemon lockfile secret service)

.PHONY: windows
windows: ## Check the code for Windows, as far as that goes without a C compiler for it
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) vet $(WINDOWS_PACKAGES)

.PHONY: golangci
golangci: $(GOLANGCI) ## Run golangci-lint alone
	$(GOLANGCI) config verify
	$(GOLANGCI) run $(PACKAGES)

$(GOLANGCI):
	@mkdir -p $(BIN)
	@echo "building golangci-lint $(GOLANGCI_VERSION); once, a few minutes"
	GOFLAGS= GOBIN=$(BIN)/.install $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(BIN)/.install/golangci-lint $@ && rmdir $(BIN)/.install

# govulncheck exits 0 for "nothing found", 3 for "found". Without its database it can say neither:
# that is reported and is no failure, so that the target also works where only a module proxy is reachable.
.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs the Go vulnerability database)
	@out=$$($(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) $(PACKAGES) 2>&1); rc=$$?; \
	printf '%s\n' "$$out"; \
	case $$rc in \
	  0) ;; \
	  *) if printf '%s' "$$out" | grep -q 'fetching vulnerabilities'; then \
	       echo "govulncheck: NOT CHECKED: the vulnerability database could not be reached"; \
	     else exit $$rc; fi ;; \
	esac

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the code
	$(GOLANGCI) fmt $(PACKAGES)

.PHONY: demo
demo: ## Sync a small made-up MSP and answer an analyst's questions
	$(GO) run ./cmd/atsync demo $(if $(DEMO_DIR),--dir $(DEMO_DIR))

PYTHON_ENV := $(BIN)/python

.PHONY: outputs
outputs: $(PYTHON_ENV)/.ready ## Let Python's duckdb, pandas, pyarrow and polars read the publications
	ATSYNC_TEST_PYTHON=$(PYTHON_ENV)/bin/python $(GO) test -count 1 -v -run '^TestReadersAgree$$' ./sinks/parquet

$(PYTHON_ENV)/.ready: sinks/parquet/testdata/requirements.txt
	@mkdir -p $(BIN)
	python3 -m venv --clear $(PYTHON_ENV)
	$(PYTHON_ENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: bench
bench: ## Measure loading: CPU, memory, the same work by DuckDB alone
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./bench/...

.PHONY: fuzz-short
fuzz-short: ## Run every fuzz test for FUZZTIME (default 10s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
	    echo "== $$(dirname "$$file") $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	  done; \
	done

.PHONY: cover
cover: ## Print test coverage; coverage.html holds the details
	$(GO) test -timeout 10m -coverprofile coverage.out -coverpkg ./... $(PACKAGES)
	$(GO) tool cover -html coverage.out -o coverage.html
	$(GO) tool cover -func coverage.out | tail -n 1

.PHONY: clean
clean: ## Remove what these targets build
	rm -rf $(BIN) coverage.out coverage.html
