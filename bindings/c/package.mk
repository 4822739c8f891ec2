# C++ tests and packaging of the C side: part of the top Makefile. Paths are from the top.

CXX          ?= c++
CPP_HEADERS  := include/inlong_dataproxy.hpp $(wildcard include/inlong_dataproxy/*.hpp include/inlong_dataproxy/compat/*.h)
C_TESTS      := bindings/c/tests
C_TEST_OUT   := build/c
CPP_FLAGS    := -O1 -g -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wshadow -Werror -pthread -Iinclude
CPP_ASAN     := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CPP_LINK     := -L$(LIB) '-Wl,-rpath,$$ORIGIN/../lib' -linlong_dataproxy
CPP_COMMON   := $(C_TEST_OUT)/check.o $(C_TEST_OUT)/fixture.o
CPP_PROGRAMS := $(addprefix $(C_TEST_OUT)/,test_cpp test_cpp_example test_cpp_try test_cpp_try_no_exceptions test_cpp_exit asan_test_cpp asan_test_cpp_try asan_test_cpp_exit test_cpp_rows asan_test_cpp_rows test_inlong_api)
CPP_NEEDED   := $(CPP_HEADERS) $(CPP_COMMON) $(C_TESTS)/check.hpp $(C_FRONT) bindings/c/package.mk

$(CPP_COMMON): $(C_TEST_OUT)/%.o: $(C_TESTS)/%.c $(wildcard $(C_TESTS)/*.h) include/inlong_dataproxy.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -O1 -g -D_GNU_SOURCE -Iinclude -c $< -o $@

$(C_TEST_OUT)/test_cpp%: $(C_TESTS)/test_cpp%.cc $(CPP_NEEDED)
	$(CXX) -std=c++17 $(CPP_FLAGS) $< $(CPP_COMMON) -o $@ $(CPP_LINK)

$(C_TEST_OUT)/test_cpp: $(C_TESTS)/test_cpp.cc $(CPP_NEEDED)
	$(CXX) -std=c++17 $(CPP_FLAGS) $< $(CPP_COMMON) -o $@ $(CPP_LINK)

$(C_TEST_OUT)/%_no_exceptions: $(C_TESTS)/%.cc $(CPP_NEEDED)
	$(CXX) -std=c++17 -fno-exceptions -fno-rtti $(CPP_FLAGS) $< $(CPP_COMMON) -o $@ $(CPP_LINK)

# The sources of other programs say what they ask for: C++11, and a header by its bare name.
$(C_TEST_OUT)/test_inlong_api: $(C_TESTS)/test_inlong_api.cc $(CPP_NEEDED)
	$(CXX) -std=c++11 $(CPP_ASAN) $(CPP_FLAGS) -Iinclude/inlong_dataproxy/compat $< $(CPP_COMMON) -o $@ $(CPP_LINK)

# The header's code and the tests are instrumented, the library is as it is installed.
$(C_TEST_OUT)/asan_%: $(C_TESTS)/%.cc $(CPP_NEEDED)
	$(CXX) -std=c++20 $(CPP_ASAN) $(CPP_FLAGS) $< $(CPP_COMMON) -o $@ $(CPP_LINK)

.PHONY: test-cpp
ifneq ($(shell command -v $(CXX)),)
test-cpp: capi
	@$(MAKE) --no-print-directory -j $(JOBS) $(CPP_PROGRAMS)
	@$(MAKE) --no-print-directory -C $(C_TESTS) examples
	@cd $(C_TESTS) && ./run $(abspath $(CPP_PROGRAMS)) ./headers_cpp
else
test-cpp:
	@echo "skip cpp: $(CXX) is not on this machine"
endif

test-c: test-cpp

# ---- The reference. The C header is the manual: it says everything of each function, so each argument must be there.
.PHONY: docs test-reference
docs: ## make the reference of the C and C++ interface into build/docs/c (needs doxygen)
	@mkdir -p build/docs/c build/docs/check
	@(cat bindings/c/Doxyfile; echo 'INPUT = include/inlong_dataproxy.h'; echo 'WARN_NO_PARAMDOC = YES'; \
		echo 'OUTPUT_DIRECTORY = build/docs/check') | doxygen -
	@doxygen bindings/c/Doxyfile
	@echo build/docs/c/html/index.html

test-reference:
	@cd $(C_TESTS) && MAKE='$(MAKE)' CC='$(CC)' ./run ./reference

test-c: test-reference

# ---- Install and dist. PREFIX is where the tree will be used, DESTDIR what a packager puts before it; LIBDIR is seen from PREFIX.
# Nothing that is installed knows its place: the tree can be moved.
PREFIX  ?= /usr/local
DESTDIR ?=
LIBDIR  ?= lib
PACKAGE_NAME    := inlong_dataproxy-$(VERSION)-linux-$(or $(MACHINE),$(shell uname -m))
DIST            := build/dist/$(PACKAGE_NAME).tar.gz

INSTALL_TO  = $(DESTDIR)$(PREFIX)
INSTALL_LIB = $(INSTALL_TO)/$(LIBDIR)
INSTALL_DOC = $(INSTALL_TO)/share/doc/inlong_dataproxy
PACKAGE_UP  = $(shell echo '$(LIBDIR)' | sed 's|//*|/|g; s|/$$||; s|[^/][^/]*|..|g')
FILL = sed -e 's|@VERSION@|$(VERSION)|g; s|@LIBDIR@|$(LIBDIR)|g; s|@UP@|$(PACKAGE_UP)|g; s|@LIBRARY@|$(notdir $(C_FRONT))|g' \
	-e 's|@SONAME@|$(C_SONAME)|g; s|@CORE@|$(notdir $(C_CORE))|g; s|@POINTER_SIZE@|$(shell expr $$(getconf LONG_BIT) / 8)|g'

# The program's own words, as the page of man. They are the same for every processor.
MAN_PAGE := build/inlong-dataproxy.1
ifeq ($(TARGET),)
$(MAN_PAGE): $(TO)/bin/inlong-dataproxy bindings/c/package/man
	bindings/c/package/man $< '$(VERSION)' >$@.$$PPID
	mv $@.$$PPID $@
else
$(MAN_PAGE): $(TO)/bin/inlong-dataproxy
	@$(MAKE) --no-print-directory TARGET= $@
endif

.PHONY: install uninstall dist
install: capi $(TO)/bin/inlong-dataproxy $(MAN_PAGE) ## install program, headers, libraries, pkg-config and CMake files (PREFIX=/usr/local DESTDIR= LIBDIR=lib)
	@case '$(PREFIX)' in /*) ;; *) echo "PREFIX=$(PREFIX): must be an absolute path" >&2; exit 1 ;; esac
	@case '$(LIBDIR)' in /* | *..*) echo "LIBDIR=$(LIBDIR): must be a folder below PREFIX, such as lib64" >&2; exit 1 ;; esac
	install -d '$(INSTALL_TO)/include/inlong_dataproxy/compat' '$(INSTALL_LIB)/pkgconfig' '$(INSTALL_LIB)/cmake/InlongDataproxy' \
		'$(INSTALL_DOC)/examples' '$(INSTALL_TO)/bin' '$(INSTALL_TO)/share/man/man1'
	install -m 755 $(TO)/bin/inlong-dataproxy '$(INSTALL_TO)/bin'
	install -m 644 $(MAN_PAGE) '$(INSTALL_TO)/share/man/man1'
	install -m 644 include/inlong_dataproxy.h include/inlong_dataproxy.hpp '$(INSTALL_TO)/include'
	install -m 644 include/inlong_dataproxy/*.hpp '$(INSTALL_TO)/include/inlong_dataproxy'
	install -m 644 include/inlong_dataproxy/compat/*.h '$(INSTALL_TO)/include/inlong_dataproxy/compat'
	install -m 755 $(C_FRONT) $(C_CORE) '$(INSTALL_LIB)'
	ln -sf $(notdir $(C_FRONT)) '$(INSTALL_LIB)/$(C_SONAME)'
	ln -sf $(C_SONAME) '$(INSTALL_LIB)/libinlong_dataproxy.so'
	$(FILL) bindings/c/package/inlong_dataproxy.pc.in >'$(INSTALL_LIB)/pkgconfig/inlong_dataproxy.pc'
	for file in InlongDataproxyConfig InlongDataproxyConfigVersion; do \
		$(FILL) bindings/c/package/$$file.cmake.in >'$(INSTALL_LIB)/cmake/InlongDataproxy/'$$file.cmake; done
	chmod 644 '$(INSTALL_LIB)/pkgconfig/inlong_dataproxy.pc' '$(INSTALL_LIB)/cmake/InlongDataproxy'/*.cmake
	install -m 644 LICENSE core/THIRD_PARTY_LICENSES.txt $(C_BILL) bindings/c/package/inlong_dataproxy.supp bindings/c/package/inlong_dataproxy.lsan '$(INSTALL_DOC)'
	install -m 644 $(wildcard bindings/c/examples/*.c bindings/c/examples/*.cpp) bindings/c/examples/Makefile '$(INSTALL_DOC)/examples'
	sed 's|](\.\./\.\./|](https://github.com/inlong-dataproxy/inlong-dataproxy/blob/v$(VERSION)/|g' bindings/c/README.md >'$(INSTALL_DOC)/README.md'
	sed '/^## In a clone/,$$d' bindings/c/examples/README.md >'$(INSTALL_DOC)/examples/README.md'
	chmod 644 '$(INSTALL_DOC)/README.md' '$(INSTALL_DOC)/examples/README.md'
	@# Into a folder of the loader, by someone who may: new programs find the library at once.
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig || true; fi

uninstall: ## remove what install put there (same PREFIX, DESTDIR, LIBDIR)
	rm -f '$(INSTALL_TO)'/include/inlong_dataproxy.h* '$(INSTALL_LIB)/libinlong_dataproxy.so' \
		$(foreach name,$(C_SONAME) $(notdir $(C_FRONT) $(C_CORE)),'$(INSTALL_LIB)/$(name)') '$(INSTALL_LIB)/pkgconfig/inlong_dataproxy.pc' \
		'$(INSTALL_TO)/bin/inlong-dataproxy' '$(INSTALL_TO)/share/man/man1/$(notdir $(MAN_PAGE))'
	rm -rf '$(INSTALL_TO)/include/inlong_dataproxy' '$(INSTALL_LIB)/cmake/InlongDataproxy' '$(INSTALL_DOC)'

# The same files give the same bytes, no matter who packs them, and when.
dist: ## pack what install installs into build/dist/
	@rm -rf build/dist/$(PACKAGE_NAME) && mkdir -p build/dist
	@$(MAKE) --no-print-directory install DESTDIR=$(abspath build/dist) PREFIX=/$(PACKAGE_NAME) >/dev/null
	tar -C build/dist --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$${SOURCE_DATE_EPOCH:-0} -cf - $(PACKAGE_NAME) | gzip -9n >$(DIST)
	@rm -rf build/dist/$(PACKAGE_NAME)
	@echo $(DIST)

.PHONY: test-package
test-package: capi
	@cd $(C_TESTS) && MAKE='$(MAKE)' CC='$(CC)' CXX='$(CXX)' ./run ./package

test-c: test-package

# ---- The front's binary interface
ABI_DESCRIPTION := capi/abi/front-$(shell uname -m).abi

.PHONY: c-abi test-abi
c-abi: $(C_FRONT) ## write capi/abi anew, after functions were added (needs abigail-tools)
	@mkdir -p $(dir $(ABI_DESCRIPTION)) build/c
	abidw --exported-interfaces-only --drop-private-types --headers-dir include --no-corpus-path --no-comp-dir-path --no-show-locs \
		--no-elf-needed --no-parameter-names --out-file build/c/front.abi $(C_FRONT)
	@# A struct's member on one line.
	awk '/<data-member /, /<\/data-member>/ { sub(/^ */, /<data-member / ? "      " : ""); printf "%s", $$0; if (/<\/data-member>/) print ""; next } 1' \
		build/c/front.abi >$(ABI_DESCRIPTION)

test-abi: capi
	@cd $(C_TESTS) && CC='$(CC)' ./run ./abi

test-c: test-abi
