# The stand-ins for the CUDA driver and NCCL, test-only: build/standin on the library path takes
# their place. The tests' kernels need nvcc; the stand-ins themselves do not.
STANDIN_NCCL_SRC := $(wildcard tests/standin/nccl_*.c)
STANDIN_SRC := $(filter-out $(STANDIN_NCCL_SRC),$(wildcard tests/standin/*.c))
STANDIN_BODIES := $(patsubst tests/standin/%.c,%,$(wildcard tests/standin/unit/nccl_bodies*.c)) \
                  unit/nccl_team unit/nccl_help
STANDIN_TEST_SRC := $(wildcard tests/standin/unit/*.c)
STANDIN_KERNELS := $(wildcard tests/standin/kernels/*.cu)
STANDIN_NVCC ?= $(NVCC)
STANDIN_ARCH ?= 90
STANDIN_LIB := $(BUILD)/standin/libcuda.so.1
STANDIN_NCCL := $(BUILD)/standin/libnccl.so.2
# nccl_version.c goes through the table of symbols, and writes to it.
STANDIN_SYMBOLS := -Wl,--hash-style=sysv,-z,separate-code
STANDIN_FLAGS := -O2 -g -fno-math-errno

.PHONY: standin standin-test
standin: $(STANDIN_LIB) $(STANDIN_NCCL)
standin-test: standin $(BUILD)/standin/test $(BUILD)/standin/nccl_rank \
    $(STANDIN_KERNELS:tests/standin/kernels/%.cu=$(BUILD)/standin/%.fatbin) \
    $(BUILD)/standin/basics_lz4.fatbin $(BUILD)/obj/cuda/kernels.fatbin

$(BUILD)/standin/obj/%.o: tests/standin/%.c $(BUILD)/flags mk/standin.mk
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) $(STANDIN_FLAGS) -MMD -MP -c -o $@ $<

$(STANDIN_LIB): $(STANDIN_SRC:tests/standin/%.c=$(BUILD)/standin/obj/%.o)
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,libcuda.so.1 $(CLOSED) $(LDFLAGS) -o $@ $^ -lm -pthread

$(STANDIN_NCCL): $(STANDIN_NCCL_SRC:tests/standin/%.c=$(BUILD)/standin/obj/%.o)
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,libnccl.so.2 $(STANDIN_SYMBOLS) $(CLOSED) $(LDFLAGS) -o $@ $^ \
	    -ldl -pthread

# The test reads our kernels' fat binary: each form in it must have a test.
$(BUILD)/standin/test: $(STANDIN_TEST_SRC:tests/standin/%.c=$(BUILD)/standin/obj/%.o) \
    $(BUILD)/standin/obj/fatbin.o \
    $(patsubst %,$(BUILD)/obj/tests/harness/%.o,ct_check ct)
	$(call say,LD)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(GTEST) -ldl -lm -pthread

$(BUILD)/standin/nccl_rank: \
    $(patsubst %,$(BUILD)/standin/obj/%.o,check/nccl_rank $(STANDIN_BODIES))
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -ldl -pthread

# No contraction, as in the kernels that ship.
$(BUILD)/standin/%.fatbin: tests/standin/kernels/%.cu mk/standin.mk
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(STANDIN_NVCC) -fatbin --fmad=false -lineinfo --compress-mode=none \
	    -gencode arch=compute_$(STANDIN_ARCH),code=compute_$(STANDIN_ARCH) -o $@ $<
$(BUILD)/standin/%_lz4.fatbin: tests/standin/kernels/%.cu mk/standin.mk
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(STANDIN_NVCC) -fatbin --fmad=false --compress-mode=speed \
	    -gencode arch=compute_$(STANDIN_ARCH),code=compute_$(STANDIN_ARCH) -o $@ $<
