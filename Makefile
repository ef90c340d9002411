# Sluice. `make help` lists the targets. Everything is built below $(BUILD); every list of sources
# is a wildcard over its folder.
BUILD ?= build
CC ?= cc
CXX ?= c++
PREFIX ?= /usr/local
DESTDIR ?=

# Warnings are errors with the compilers that the tests run; another one may warn of more.
WERROR ?= $(if $(filter 12 12.% 14.%,$(shell $(CC) -dumpversion)),-Werror)

# The version is written once, in plugin.h.
HASH := \#
VERSION := $(shell sed -n 's/^$(HASH)define SLUICE_VERSION "\(.*\)"/\1/p' plugin.h 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wundef -Wvla -Wcast-qual -Wpointer-arith -Wwrite-strings -Wformat=2
CSTD := -std=c11 -D_POSIX_C_SOURCE=200809L -ffp-contract=off
INC := -I. -Isrc -Itests/harness
CFLAGS_ALL = $(CSTD) -fPIC -fvisibility=hidden -pthread $(INC) $(WARN) $(WERROR) $(CFLAGS)
CXXFLAGS_ALL = -std=c++17 -pthread $(INC) -Wall -Wextra $(WERROR) $(CXXFLAGS)

CORE_SRC := $(wildcard src/core/*.c)
BACKEND_SRC := $(wildcard src/backend/*.c)
CPU_SRC := $(wildcard src/cpu/*.c)
LIB_SRC := $(CORE_SRC) $(BACKEND_SRC) $(CPU_SRC)
HOST_SRC := $(wildcard src/host/*.c)
COMM_SRC := $(filter-out src/comm/comm_mpi%,$(wildcard src/comm/*.c))
TOOL_SRC := $(wildcard src/tool/*.c)
CONFORM_SRC := $(wildcard abi/conformance/*.c)
HARNESS_SRC := $(filter-out %/ct_selftest.c,$(wildcard tests/harness/*.c))
# UNIT=tests/unit/test_x.c builds the test program with that file alone.
UNIT ?= $(wildcard tests/unit/*.c tests/differential/*.c tests/faults/*.c)

# The file with main() stays out of the test program, so that tests can call the rest.
TOOL_MAIN := $(if $(TOOL_SRC),$(shell grep -lE '^int main\b' $(TOOL_SRC)))
TESTED_SRC := $(LIB_SRC) $(COMM_SRC) $(HOST_SRC) $(filter-out $(TOOL_MAIN),$(TOOL_SRC))

HARDEN := -Wl,-z,relro,-z,now
PLUGIN_LD := -shared -Wl,--version-script=abi/plugin.map -Wl,-z,nodelete $(HARDEN)
# A test compares with GLPK where it is installed.
GLPK := $(if $(wildcard /usr/include/glpk.h),-lglpk)
GTEST = $(shell pkg-config --cflags --libs gtest 2>/dev/null || echo -lgtest)

MPICC := $(shell command -v mpicc 2>/dev/null)
MPI_LIB := $(if $(MPICC),$(BUILD)/libsluice_mpi.so)

# V=1 prints whole commands.
V ?=
Q := $(if $(V),,@)
say = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),,@printf '%-5s %s\n' $(1) $@)

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all lib tool unit unit-asan unit-tsan selftest mutants hosts demo test check test-long bench \
        conform install help format lint clean abi-baseline FORCE

# A program or library is a target once its sources exist.
all: lib tool $(MPI_LIB) $(if $(CONFORM_SRC),$(BUILD)/sluice-conform)
lib: $(if $(CPU_SRC),$(BUILD)/libsluice_cpu.so)
	@:
tool: $(if $(TOOL_MAIN),$(BUILD)/sluice)
	@:

# $(call flavour,dir,flags,plugin's link flags): objects, plugin and programs below dir.
# The flags are kept in a file, so that other flags mean another build.
define flavour
$(1)/flags: FORCE
	@mkdir -p $$(@D); echo '$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS) $(2)' | cmp -s - $$@ || \
	    echo '$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS) $(2)' >$$@

$(1)/obj/%.o: %.c $(1)/flags
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$$(CC) $$(CFLAGS_ALL) $(2) $$(if $$(filter tests/%,$$<),-O1) -MMD -MP -c -o $$@ $$<

$(1)/obj/%.o: %.cc $(1)/flags
	@mkdir -p $$(@D)
	$$(call say,CXX)
	$$(Q)$$(CXX) $$(CXXFLAGS_ALL) $(2) -O1 -MMD -MP -c -o $$@ $$<

$(1)/libsluice_cpu.so: $$(LIB_SRC:%.c=$(1)/obj/%.o) abi/plugin.map
	$$(call say,LD)
	$$(Q)$$(CC) $(2) $$(PLUGIN_LD) $(3) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -lm -pthread

$(1)/sluice: $$(TOOL_SRC:%.c=$(1)/obj/%.o) $$(HOST_SRC:%.c=$(1)/obj/%.o) \
    $$(COMM_SRC:%.c=$(1)/obj/%.o)
	$$(call say,LD)
	$$(Q)$$(CC) $(2) $$(HARDEN) $$(LDFLAGS) -o $$@ $$^ -ldl -lm -pthread

$(1)/sluice-conform: $$(CONFORM_SRC:%.c=$(1)/obj/%.o) $$(HOST_SRC:%.c=$(1)/obj/%.o) \
    $(1)/obj/src/comm/comm_threads.o
	$$(call say,LD)
	$$(Q)$$(CC) $(2) $$(HARDEN) $$(LDFLAGS) -o $$@ $$^ -ldl -lm -pthread

$(1)/unit.list: FORCE
	@mkdir -p $$(@D); echo '$$(UNIT)' | cmp -s - $$@ || echo '$$(UNIT)' >$$@

$(1)/unit: $$(UNIT:%.c=$(1)/obj/%.o) $$(HARNESS_SRC:%.c=$(1)/obj/%.o) \
    $(1)/obj/tests/harness/ct.o $$(TESTED_SRC:%.c=$(1)/obj/%.o) $(1)/unit.list
	$$(call say,LD)
	$$(Q)$$(CXX) $(2) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(GTEST) $$(GLPK) -ldl -lm -pthread
endef

# Plugins that a loader must refuse.
FAKES := $(patsubst tests/plugins/%.c,%,$(wildcard tests/plugins/*.c))
define fakes
$(1)/plugins/%.so: tests/plugins/%.c tests/plugins/fake_table.h plugin.h
	@mkdir -p $$(@D)
	$$(call say,LD)
	$$(Q)$$(CC) $$(CFLAGS_ALL) -shared -o $$@ $$<
endef
$(foreach f,$(BUILD) $(BUILD)/asan $(BUILD)/tsan,$(eval $(call fakes,$(f))))

SANITIZE_ASAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
                 -fno-omit-frame-pointer
SANITIZE_TSAN := -O1 -g -fsanitize=thread
# clang leaves the symbols of a sanitizer open in a shared object: only the plain one is closed.
CLOSED := -Wl,-z,defs
$(eval $(call flavour,$(BUILD),-O2 -g,$(CLOSED)))
$(eval $(call flavour,$(BUILD)/asan,$(SANITIZE_ASAN)))
$(eval $(call flavour,$(BUILD)/tsan,$(SANITIZE_TSAN)))

unit: lib $(BUILD)/unit $(FAKES:%=$(BUILD)/plugins/%.so)
unit-asan: $(FAKES:%=$(BUILD)/asan/plugins/%.so) $(if $(CPU_SRC),$(BUILD)/asan/libsluice_cpu.so) $(BUILD)/asan/unit
unit-tsan: $(FAKES:%=$(BUILD)/tsan/plugins/%.so) $(if $(CPU_SRC),$(BUILD)/tsan/libsluice_cpu.so) $(BUILD)/tsan/unit

# The harness tested by itself: one test that fails, one that passes, one that skips.
selftest: $(BUILD)/selftest
$(BUILD)/selftest: $(patsubst %,$(BUILD)/obj/tests/harness/%.o,ct_selftest ct_check ct)
	$(call say,LD)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST) -pthread

include mk/mutants.mk
include mk/hosts.mk
include mk/mpi.mk
include mk/hot.mk
include mk/standin.mk
include mk/fuzz.mk
include mk/cuda.mk
include mk/cuda_mutants.mk

demo:
	@$(MAKE) --no-print-directory -j2 lib tool
	@BUILD='$(BUILD)' sh packaging/demo.sh

test:
	@BUILD='$(BUILD)' CC='$(CC)' CXX='$(CXX)' bash tests/run.sh test
check:
	@BUILD='$(BUILD)' CC='$(CC)' CXX='$(CXX)' bash tests/run.sh check
test-long:
	@BUILD='$(BUILD)' CC='$(CC)' CXX='$(CXX)' bash tests/run.sh long
conform: lib $(BUILD)/sluice-conform mutants
	@BUILD='$(BUILD)' bash tests/conform.sh
# The counts of a real model, where they are there: decode, and what follows it.
R1_COUNTS := $(wildcard $(SLUICE_SHARED)/data/deepseek-r1-expert-counts)
BENCH_COUNTS := $(if $(SLUICE_SHARED),$(foreach f,decode_in2000out100 decode_in500out1500,\
                  $(R1_COUNTS:%=--counts %/$(f).json)))
bench: lib tool
	@$(BUILD)/sluice bench $(BENCH_COUNTS) --json $(BUILD)/bench.json
	@python3 tests/bench_eplb.py $(BUILD)/bench.json $(filter-out --counts,$(BENCH_COUNTS))
	@if python3 -c 'import torch' 2>/dev/null; then python3 tests/bench_torch.py $(BUILD)/bench.json; \
	else echo 'torch is not installed: not compared'; fi
	@BUILD='$(BUILD)' bash tests/callgrind.sh
	@$(MAKE) --no-print-directory -s bench-cuda
lint:
	@BUILD='$(BUILD)' bash tests/lint.sh
abi-baseline: lib
	@BUILD='$(BUILD)' bash tests/abi.sh renew
format:
	@git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cc' | grep -v '^tests/dlpack/' | \
	    xargs -r clang-format -i

# A CUDA backend that was built is brought up to date and goes along.
install: all $(if $(wildcard $(BUILD)/libsluice_cuda.so),cuda)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' BUILD='$(BUILD)' VERSION='$(VERSION)' \
	    sh packaging/install_files.sh

clean:
	rm -rf $(BUILD)

help:
	@echo 'make               the plugin, the sluice command and the conformance program'
	@echo 'make demo          build, then replay routing through the plugin; needs cc and make only'
	@echo 'make check         the quick tests (a minute)'
	@echo 'make test          all tests; the last line is "N passed, N failed[, N skipped]"'
	@echo 'make test-long     make test, and the runs that take longer'
	@echo 'make conform       the conformance suite on the plugin and on every mutant'
	@echo 'make fuzz          each fuzzer for FUZZ_SECONDS (20); fuzz-replay: only the corpus'
	@echo 'make bench         ratios measured side by side'
	@echo 'make cuda          the CUDA backend, where there is nvcc; tests/cuda.sh runs it without a GPU'
	@echo 'make cuda-wheels   nvcc from PyPI into $(BUILD)/cuda, where there is none'
	@echo 'make test-gpu      the CUDA backend on this machine'"'"'s GPU'
	@echo 'make bench-cuda    what its kernels execute, and what ptxas makes of them (part of bench)'
	@echo 'make install       into $$(DESTDIR)$$(PREFIX); PREFIX=$(PREFIX)'
	@echo 'make lint format   check the style; put it right'
	@echo 'make abi-baseline  renew abi/baseline after a change that was meant'
	@echo 'make clean         remove $(BUILD)'
	@echo 'Variables: BUILD CC CXX CFLAGS LDFLAGS WERROR V=1, UNIT (test files to build)'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
