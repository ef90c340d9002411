# Fuzzers: tests/fuzz/fuzz_NAME.c for each folder tests/fuzz/corpus/NAME, over the library's sources.
# `make fuzz` runs each FUZZ_SECONDS with clang's libFuzzer; what it finds and keeps goes below
# $(BUILD)/fuzz. `make fuzz-replay` builds programs that only run the corpus, with any compiler.
.PHONY: fuzz fuzz-build fuzz-replay fuzz-replay-build
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 20
FUZZERS := $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ_MAINS := $(FUZZERS:%=tests/fuzz/fuzz_%.c) tests/fuzz/fuzz_replay_main.c
FUZZ_KIT := $(filter-out $(FUZZ_MAINS),$(wildcard tests/fuzz/*.c))
FUZZ_SRC := $(LIB_SRC) $(filter-out $(TOOL_MAIN),$(TOOL_SRC)) $(HOST_SRC) $(COMM_SRC) $(FUZZ_KIT)
SANITIZE_FUZZ := $(SANITIZE_ASAN) -fsanitize=fuzzer-no-link

fuzz: fuzz-build
	@BUILD='$(BUILD)' bash tests/fuzz.sh run $(FUZZ_SECONDS)
fuzz-replay: fuzz-replay-build
	@BUILD='$(BUILD)' bash tests/fuzz.sh replay
fuzz-build: $(FUZZERS:%=$(BUILD)/fuzz/fuzz_%)
fuzz-replay-build: $(FUZZERS:%=$(BUILD)/asan/replay_%)

$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(FUZZ_CC) $(CFLAGS_ALL) $(SANITIZE_FUZZ) -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/libfuzzed.a: $(FUZZ_SRC:%.c=$(BUILD)/fuzz/obj/%.o)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libfuzzed.a
	$(call say,LD)
	$(Q)$(FUZZ_CC) $(SANITIZE_ASAN) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ -ldl -lm -pthread

$(BUILD)/asan/libfuzzed.a: $(FUZZ_SRC:%.c=$(BUILD)/asan/obj/%.o)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/asan/replay_%: $(BUILD)/asan/obj/tests/fuzz/fuzz_%.o \
    $(BUILD)/asan/obj/tests/fuzz/fuzz_replay_main.o $(BUILD)/asan/libfuzzed.a
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE_ASAN) $(LDFLAGS) -o $@ $^ -ldl -lm -pthread
