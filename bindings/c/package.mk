# C++ tests and packaging of the C side: part of the top Makefile. Paths are from the top.

CXX          ?= c++
CPP_HEADERS  := include/inlong_dataproxy.hpp $(wildcard include/inlong_dataproxy/*.hpp)
C_TESTS      := bindings/c/tests
C_TEST_OUT   := build/c
CPP_FLAGS    := -O1 -g -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wshadow -Werror -pthread -Iinclude
CPP_ASAN     := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CPP_LINK     := -L$(LIB) '-Wl,-rpath,$$ORIGIN/../lib' -linlong_dataproxy
CPP_COMMON   := $(C_TEST_OUT)/check.o $(C_TEST_OUT)/fixture.o
CPP_PROGRAMS := $(addprefix $(C_TEST_OUT)/,test_cpp test_cpp_example test_cpp_try test_cpp_try_no_exceptions asan_test_cpp asan_test_cpp_try)
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

# The header's code and the tests are instrumented, the library is as it is installed.
$(C_TEST_OUT)/asan_%: $(C_TESTS)/%.cc $(CPP_NEEDED)
	$(CXX) -std=c++20 $(CPP_ASAN) $(CPP_FLAGS) $< $(CPP_COMMON) -o $@ $(CPP_LINK)

.PHONY: test-cpp
test-cpp: capi examples $(CPP_PROGRAMS)
	@cd $(C_TESTS) && ./run $(abspath $(CPP_PROGRAMS)) ./headers_cpp

test-c: test-cpp
