# `make` prints the targets. Everything that is made goes to build/; nothing is installed into the system.

# Neither make nor the shell nor the linker's options take every name.
COMMA := ,
UNFIT := $(strip $(if $(filter 1,$(words $(CURDIR))),,a space) \
	$(foreach c,$$ & ( ) ; ' " ` \ < > | $(COMMA),$(if $(findstring $c,$(CURDIR)),$c)))
ifneq ($(UNFIT),)
$(error make cannot build in a folder with $(UNFIT) in its name: move the clone, which is in '$(CURDIR)')
endif

BUILD       := build
BIN         := $(BUILD)/bin
VENV        := $(BUILD)/venv
GO          ?= go
PYTHON      ?= python3
STATICCHECK := $(BUILD)/tools/staticcheck
GOTESTSUM   := $(BUILD)/tools/gotestsum
CLANG_FORMAT := $(BUILD)/tools/venv/bin/clang-format

CHAOS       ?= 10m
CRASH       ?= 10m
FUZZ        ?= 10s

STATICCHECK_VERSION := v0.8.2
GOTESTSUM_VERSION   := v1.13.0
KOFFI_VERSION       := 3.3.4
KOFFI       := $(if $(and $(shell command -v node),$(shell command -v npm)),$(BUILD)/tools/node/koffi-$(KOFFI_VERSION))

# Later ones say so themselves. These, which Debian 12 and Ubuntu 22.04 have, take go.mod for faulty ("invalid go version").
OLD_GO := $(filter go1.1% go1.20%,$(shell GOTOOLCHAIN=local $(GO) version 2>/dev/null))
ifneq ($(OLD_GO),)
$(error $(OLD_GO) is too old: the version named in go.mod or a newer one is needed, from https://go.dev/dl)
endif

# The commit is not stamped into binaries: a build must also work from a tarball and in another user's checkout. -mod=vendor, which some
# set for their own projects, fails where there is no folder vendor; where there is one, Go uses it unasked.
export GOFLAGS := $(filter-out -buildvcs=% -mod=vendor,$(GOFLAGS)) -buildvcs=false

# A workspace of the user's own, in a folder above or in the environment, has not this module.
export GOWORK := off

# Compilers side by side where many small files are compiled and nothing is measured meanwhile.
JOBS := $(shell getconf _NPROCESSORS_ONLN)

SHELL := bash
export FILE MANAGER GROUP STREAM AUTH NODES KAFKA TOPIC
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Whatever -j says: the parts of test-c build the same programs, and measure. What can be done side by side says so itself.
.NOTPARALLEL:

# C and Python bring their own targets: capi, examples, test-c; venv, python-lib, test-python, lint-python.
-include capi/build.mk bindings/python/build.mk
-include bindings/c/package.mk
-include .ci/release.mk

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sort -u \
		| awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

.PHONY: build
build: go-programs capi examples python-lib ## build the programs, the shared libraries and the C examples

.PHONY: go-programs
go-programs: ## build the Go programs into build/bin
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./core/cmd/...

.PHONY: demo
demo: ## ship a real log from Go, C and Python, a node dies on the way (FILE=path DEMO_REPEAT=n)
	@.ci/tools needed
	@echo "demo, 1 of 3: the programs. A minute or two the first time, when Go downloads modules and compiles its own library"
	@$(MAKE) --no-print-directory go-programs
	@echo "demo, 2 of 3: the C library, which holds the Go core, and its examples. A minute the first time"
	@$(MAKE) --no-print-directory build
	@echo "demo, 3 of 3: a million lines from each language to a fake cluster, while a node dies. Some seconds each"
	$(BIN)/demo $(if $(FILE),--file "$$FILE") $(if $(DEMO_REPEAT),--repeat $(DEMO_REPEAT))

# One after the other, also after one that fails. As root on Debian it installs first what the tests use.
TEST_PARTS  := test-go test-c test-python test-pages
.PHONY: test
test: ## run all tests: Go (race detector on), C, Python, documentation; list what was not tested, and what failed
	@mkdir -p build/test && rm -f build/test/*.log
	@.ci/tools install | tee build/test/tools.log
	@failed=; for part in $(TEST_PARTS); do \
		$(MAKE) --keep-going --no-print-directory $$part 2>&1 | tee build/test/$$part.log || failed+=" $$part"; done; \
		.ci/left-out build/test/*.log; .ci/failed build/test/*.log; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# It lists the tests that were skipped, with the reason, which go test does not.
GO_TEST := $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg --raw-command -- $(GO) test -json

# A module of its own, which ./... does not reach.
OTEL := core/otel
.PHONY: test-otel
test-otel: $(GOTESTSUM) ## run the tests of core/otel (TEST_FLAGS=...)
	CGO_ENABLED=1 $(GO_TEST:test=-C $(OTEL) test) -race $(TEST_FLAGS) ./...

.PHONY: test-go
test-go: test-otel $(GOTESTSUM) capi build/conformance/send_plan $(KOFFI) ## run the Go tests with the race detector (TEST_FLAGS=...)
	CGO_ENABLED=1 $(GO_TEST) -race -timeout 15m $(TEST_FLAGS) ./...

.PHONY: test-pages
test-pages: $(GOTESTSUM) build venv ## run every code block of every page, follow every link
	INLONG_TEST_PAGES=1 $(GO_TEST) -count=1 $(TEST_FLAGS) ./core/internal/pages

.PHONY: test-fresh
test-fresh: ## do the README's two commands in new roots of Debian 12 and 13 (needs root, an hour; FRESH=--short: some minutes)
	.ci/fresh $(FRESH)

.PHONY: newcomer
newcomer: ## time the README's way from a clone to the first acked message, in each language (COLD=1: with empty caches)
	INLONG_TEST_NEWCOMER=$(if $(COLD),cold,warm) $(GO) test -count=1 -v -timeout 30m -run TestNewcomersPath ./core/internal/pages

.PHONY: bench
bench: build venv ## measure each language against a bare loop (BENCH_FLAGS=...)
	$(BIN)/bench $(BENCH_FLAGS)

.PHONY: conformance
conformance: build ## send through every option and compare what arrives (MANAGER= GROUP= STREAM= [AUTH= NODES= KAFKA= TOPIC=]; none: a trial)
	$(BIN)/conformance $(CONFORMANCE_FLAGS)

.PHONY: chaos
chaos: ## clients against a cluster that fails at random, each message judged (CHAOS=30m, CHAOS_FLAGS=...)
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./core/cmd/chaos
	$(BIN)/chaos --duration $(CHAOS) $(CHAOS_FLAGS)

.PHONY: crash
crash: ## clients with a spool are killed at random and at each step of the disk, each message judged (CRASH=30m, CRASH_FLAGS=...)
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./core/cmd/crash
	$(BIN)/crash --duration $(CRASH) $(CRASH_FLAGS)

.PHONY: fuzz
fuzz: ## run every fuzz target in turn (FUZZ=10s or FUZZ=1000000x each)
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' $(GO_FOLDERS) | sort | while IFS=: read -r file func; do \
		echo "$$(dirname "$$file") $${func#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZ) "./$$(dirname "$$file")" </dev/null || exit 1; \
	done

.PHONY: lint
lint: lint-go lint-c lint-python ## check format, types and common mistakes in all languages

.PHONY: lint-go
lint-go: $(STATICCHECK) ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l $(GO_FOLDERS)); [ -z "$$files" ] || { echo "not gofmt'ed:"; echo "$$files"; exit 1; }
	$(GO) vet ./...
	@for system in windows darwin; do echo "go vet for $$system"; CGO_ENABLED=0 GOOS=$$system $(GO) vet ./core/... || exit 1; done
	$(STATICCHECK) ./...
	$(GO) -C $(OTEL) vet ./...
	cd $(OTEL) && $(abspath $(STATICCHECK)) ./...

.PHONY: lint-c
lint-c: $(CLANG_FORMAT) ## clang-format
	$(CLANG_FORMAT) --dry-run --Werror $(C_FILES)

.PHONY: fmt
fmt: $(CLANG_FORMAT) format-python ## format the code of all languages
	gofmt -w $(GO_FOLDERS)
	$(CLANG_FORMAT) -i $(C_FILES)

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)

GO_FOLDERS = $(wildcard core capi)
C_FILES = $(shell find include capi bindings -name '*.[ch]' -o -name '*.hpp' -o -name '*.cc' -o -name '*.cpp' 2>/dev/null)

$(STATICCHECK): Makefile
	@mkdir -p $(@D)
	GOBIN=$(abspath $(@D)) $(GO) install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	@touch $@

$(GOTESTSUM): Makefile
	@mkdir -p $(@D)
	GOBIN=$(abspath $(@D)) $(GO) install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	@touch $@

# For the example in Node; without it that is left out.
$(BUILD)/tools/node/koffi-%:
	@mkdir -p $(@D)
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) koffi@$* && touch $@ || echo "skip koffi: npm could not install it"

$(CLANG_FORMAT): .ci/requirements.txt
	$(PYTHON) -m venv $(BUILD)/tools/venv
	$(BUILD)/tools/venv/bin/pip install --no-compile --quiet --disable-pip-version-check -r $<
	@touch $@
