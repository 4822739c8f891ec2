# The C side's part of the top Makefile, which includes it. Paths are from the top.

CC        ?= cc
GO        ?= go

# One place has the version. Releases that break no program have one series: the first number, before 1.0 the first two.
VERSION   := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' core/producer.go)
SERIES    := $(shell echo '$(VERSION)' | sed -E 's/^(0\.[0-9]+|[0-9]+).*/\1/')

# TARGET=x86_64-linux-gnu.2.28 or aarch64-linux-gnu.2.28 builds by zig, for that processor and for that glibc or any newer one, into
# build/dist/TARGET. Without it all is built for this machine, into build.
TARGET    :=
ifeq ($(TARGET),)
TO        := build
else
TO        := build/dist/$(TARGET)
MACHINE   := $(firstword $(subst -, ,$(TARGET)))
GOARCH    := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(filter x86_64 aarch64,$(MACHINE))))
$(if $(GOARCH),,$(error TARGET=$(TARGET): want x86_64-linux-gnu.2.28 or aarch64-linux-gnu.2.28))
ZIG       := $(abspath build/tools/zig/bin/zig)
CC        := $(ZIG) cc -target $(TARGET)
export GOOS := linux
export GOARCH
endif
ZIG_VERSION := 0.17.1

LIB       := $(TO)/lib
# The core's file has the whole version in its name: the front loads the one that it was built with, whatever lies beside it.
C_SONAME  := libinlong_dataproxy.so.$(SERIES)
C_FRONT   := $(LIB)/libinlong_dataproxy.so.$(VERSION)
C_CORE    := $(LIB)/libinlong_dataproxy_core.so.$(VERSION)
C_BILL    := $(LIB)/inlong_dataproxy.cdx.json
# No -Werror here: a newer compiler's new warning must not keep a user from building. The tests build the same sources with it.
# Nothing that is built knows the folder it was built in: a release is the same bytes wherever it is made.
C_FLAGS   := -std=c11 -O2 -g -ffile-prefix-map=$(CURDIR)=. -D_GNU_SOURCE -Iinclude -Wall -Wextra -Wpedantic $(CFLAGS)

FRONT_SOURCES := $(wildcard capi/front/*.c)
FRONT_HEADERS := $(wildcard capi/front/*.h) include/inlong_dataproxy.h

.PHONY: capi examples test-c test-c-rounds clean-c

capi: $(C_FRONT) $(C_CORE) $(C_BILL) ## build the C library and its Go core into build/lib

# The Go that is used, and whether its runtime is patched. Looked at every time: both libraries are made anew when it is another.
RUNTIME := $(TO)/_runtime/kind
.PHONY: always
always:
$(RUNTIME): capi/runtime_overlay always
	@GO='$(GO)' capi/runtime_overlay $(@D)

# Both libraries are made under a name of this make's own and then moved: others may build or use them at the same time.

# Hidden first, opened by the map: only what the header marks INLONG_API is seen. nodelete: the runtime cannot be unloaded. no-plt: all
# is bound at the start anyway, and a call on a closed handle is a sixth cheaper.
$(C_FRONT): $(FRONT_SOURCES) $(FRONT_HEADERS) capi/front/front.map capi/build.mk $(RUNTIME) $(ZIG)
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) $$(sed -n 's/^stock .*/-DINLONG_STOCK/p' $(RUNTIME)) -fPIC -fno-plt -fvisibility=hidden -shared -pthread -o $@.$$PPID $(FRONT_SOURCES) -Wl,-soname,$(C_SONAME) \
		-Wl,--version-script=capi/front/front.map -Wl,-Bsymbolic -Wl,-z,defs,-z,nodelete,-z,relro,-z,now -ldl
	mv $@.$$PPID $@
	ln -sf $(@F) $(LIB)/$(C_SONAME)
	ln -sf $(C_SONAME) $(LIB)/libinlong_dataproxy.so

CORE_SOURCES := $(shell find core capi -name '*.go' ! -name '*_test.go' ! -path '*/cmd/*') $(wildcard capi/*.[ch]) capi/core.map go.mod

# Go's build cache looks only at headers in the package's own folder: without their sum it would link what was compiled with old ones.
CORE_HEADERS := capi/front/core_abi.h include/inlong_dataproxy.h

$(C_CORE): $(CORE_SOURCES) $(CORE_HEADERS) $(RUNTIME) capi/build.mk $(ZIG)
	@mkdir -p $(@D)
	CGO_ENABLED=1 CC='$(CC)' CGO_CFLAGS="-O2 -g -DCORE_HEADERS_SUM=$$(cat $(CORE_HEADERS) | cksum | cut -d ' ' -f 1)" \
		$(TO)/_runtime/go build -overlay $(TO)/_runtime/overlay.json -tags "inlong_runtime_$$(cut -d ' ' -f 1 $(RUNTIME))" -trimpath -buildvcs=false -buildmode=c-shared -o $@.$$PPID \
		-ldflags '-buildid= -extldflags "-Wl,--version-script=$(abspath capi/core.map) -Wl,-soname,$(@F) -Wl,-z,nodelete"' ./capi
	@rm -f $@.h # cgo's header; the front has core_abi.h
	mv $@.$$PPID $@

# What is linked into the core, for those who must know: CycloneDX. Where programs in /tmp may not be started, go run needs another place.
MAKE_BILL = env -u GOOS -u GOARCH GOTMPDIR='$(abspath $(TO))' $(GO) run ./capi/thirdparty sbom
$(C_BILL): $(C_CORE) core/THIRD_PARTY_LICENSES.txt
	$(MAKE_BILL) inlong_dataproxy $(C_CORE) >$@.$$PPID
	mv $@.$$PPID $@

$(TO)/bin/inlong-dataproxy: $(CORE_SOURCES) $(shell find core/cmd/inlong-dataproxy core/cmd/internal -name '*.go' ! -name '*_test.go')
	@mkdir -p $(@D)
	$(if $(TARGET),CGO_ENABLED=0) $(GO) build $(if $(TARGET),-trimpath -ldflags '-s -w -buildid=') -o $@ ./core/cmd/inlong-dataproxy

$(ZIG): capi/build.mk
	$(PYTHON) -m venv build/tools/zig
	build/tools/zig/bin/pip install --quiet --disable-pip-version-check ziglang==$(ZIG_VERSION)
	ln -sf $$(echo build/tools/zig/lib/python3*/site-packages/ziglang/zig | sed 's|^build/tools/zig|..|') $@
	@touch -h $@

# ---- What is shipped: for another processor or an older glibc than this machine's. Debug symbols go into files of their own, which a
# debugger is told of (add-symbol-file).
.PHONY: dist-native
ifeq ($(TARGET),)
dist-native: ## build libraries and program to ship into build/dist/TARGET (TARGET=x86_64-linux-gnu.2.28 or aarch64-linux-gnu.2.28)
	@echo 'say TARGET=x86_64-linux-gnu.2.28 or TARGET=aarch64-linux-gnu.2.28' >&2; exit 1
else
# That of any machine but this one is no part of Debian's binutils: package binutils-aarch64-linux-gnu, or llvm.
OBJCOPY := $(firstword $(shell command -v $(MACHINE)-linux-gnu-objcopy llvm-objcopy))
SHIPPED := $(foreach file,$(C_FRONT) $(C_CORE),$(TO)/debug/$(notdir $(file)).debug)
dist-native: $(SHIPPED) $(TO)/bin/inlong-dataproxy

$(TO)/debug/%.debug: $(LIB)/%
	@[ -n '$(OBJCOPY)' ] || { echo 'no objcopy: apt-get install binutils-$(subst _,-,$(MACHINE))-linux-gnu' >&2; exit 1; }
	@mkdir -p $(@D)
	$(OBJCOPY) --only-keep-debug $< $@
	@# No link to that file: it holds its sum, and zig's own objects write into it where they were compiled.
	$(OBJCOPY) --strip-all $< $<.$$PPID
	mv $<.$$PPID $<
	@touch $@
endif

.PHONY: cross
cross: ## build libraries and program for x86-64 and arm64 and glibc 2.28 into build/dist
	@for target in $(TARGETS); do $(MAKE) --no-print-directory dist-native TARGET=$$target; done
TARGETS := x86_64-linux-gnu.2.28 aarch64-linux-gnu.2.28

.PHONY: test-arm64 test-old-glibc
test-arm64: ## C tests and a part of the Python ones on arm64, under qemu-user (SHORT=1: one C program)
	@$(if $(SHORT),,.ci/tools get aarch64-linux-gnu-objcopy=binutils-aarch64-linux-gnu || true)
	@$(MAKE) --no-print-directory $(if $(SHORT),capi,wheel) TARGET=aarch64-linux-gnu.2.28
	.ci/foreign $(if $(SHORT),--short) aarch64-linux-gnu.2.28
test-old-glibc: ## the same in a Debian 11 root, for the glibc that is older than this machine's (SHORT=1)
	@$(if $(SHORT),,.ci/tools get x86_64-linux-gnu-objcopy=binutils-x86-64-linux-gnu || true)
	@$(MAKE) --no-print-directory $(if $(SHORT),capi,wheel) TARGET=x86_64-linux-gnu.2.28
	.ci/foreign $(if $(SHORT),--short) x86_64-linux-gnu.2.28

# Everything else here is built by one Go, which is seldom the newest.
NEWEST_GO := go1.27.4
.PHONY: test-newest-go
test-newest-go: ## build the C library by the newest Go, whose runtime must be known, and send by it (NEWEST_GO=go1.27.4)
	@GOTOOLCHAIN=$(NEWEST_GO) $(MAKE) --no-print-directory capi TO=build/$(NEWEST_GO)
	grep -x 'patched $(NEWEST_GO)' build/$(NEWEST_GO)/_runtime/kind
	$(CC) $(C_FLAGS) bindings/c/tests/package_consumer.c -o build/$(NEWEST_GO)/consumer -Lbuild/$(NEWEST_GO)/lib '-Wl,-rpath,$$ORIGIN/lib' \
		-linlong_dataproxy
	build/$(NEWEST_GO)/consumer

.PHONY: c-tables
c-tables: ## write capi/front/tables.c anew, after a change of options or codes in the core
	$(GO) run ./capi/tables > capi/front/tables.c.new
	mv capi/front/tables.c.new capi/front/tables.c

# The examples have a Makefile of their own, which works outside the project too.
examples: capi build/bench/bench_async build/conformance/send_plan ## build the C examples into build/examples
	@$(MAKE) --no-print-directory -C bindings/c/examples LIB=$(abspath $(LIB)) LIB_FROM_OUT=../lib \
		INCLUDE=$(abspath include) OUT=$(abspath build/examples)

build/bench/bench_async: bindings/c/bench/bench_async.c
build/conformance/send_plan: bindings/c/conformance/send_plan.c
build/bench/bench_async build/conformance/send_plan: $(C_FRONT) include/inlong_dataproxy.h
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) $(filter %.c,$^) -o $@ -L$(LIB) '-Wl,-rpath,$$ORIGIN/../lib' -linlong_dataproxy

.PHONY: test-c-programs
test-c: test-c-programs ## run the C tests
test-c-programs: capi examples
	@$(MAKE) --no-print-directory -j $(JOBS) -C bindings/c/tests all
	@$(MAKE) --no-print-directory -C bindings/c/tests test

.PHONY: test-valgrind
ifneq ($(shell command -v valgrind),)
test-valgrind: capi ## run C tests under valgrind (VALGRIND_TESTS="send queue close log fork")
	@$(MAKE) --no-print-directory -C bindings/c/tests test-valgrind
else
test-valgrind:
	@echo "skip valgrind: it is not on this machine"
endif

test-c: test-valgrind

.PHONY: test-stock
test-stock: capi
	@cd bindings/c/tests && MAKE='$(MAKE)' CC='$(CC)' GO='$(GO)' ./run ./stock

test-c: test-stock

# The same tests, but each scenario of many rounds so often: exit, fork and close at any moment.
HOST_TESTS := test_exit plain_dlopen test_cpp_exit test_fork_busy test_close
test-c-rounds: capi ## run exit, fork and close in C again and again (ROUNDS=1000)
	@$(MAKE) --no-print-directory -C bindings/c/tests all
	@$(MAKE) --no-print-directory build/c/test_cpp_exit
	@cd bindings/c/tests && ROUNDS=$(or $(ROUNDS),1000) ./run $(addprefix $(abspath build/c)/,$(HOST_TESTS))

STRESS ?= 300
.PHONY: stress
stress: capi ## send, poll, cancel, open, close and fork at random, also under the sanitizers (STRESS=300 seconds)
	@$(MAKE) --no-print-directory -C bindings/c/tests stress SECONDS_EACH=$$(($(STRESS) / 3))

clean-c: ## remove what the C side built
	rm -rf $(LIB) build/examples build/bench/bench_async build/conformance build/c
