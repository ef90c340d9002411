# The CUDA backend: kernels by nvcc to one fat binary with machine code and PTX for each
# architecture, which is embedded; the host code is C. NVCC: the system's; else that of the wheels which
# `make cuda-wheels` puts below $(BUILD)/cuda (pinned together: another version of one of them does
# not fit). Without either, nothing here is built.
CUDA_WHEELS := $(BUILD)/cuda
CUDA_PINS := nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
             nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
NVCC ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc) \
                    $(wildcard $(CUDA_WHEELS)/lib/python3*/site-packages/nvidia/cu13/bin/nvcc))
CUDA_ARCHS ?= 80 90 100 120
CUDA_SRC := $(wildcard cuda/*.c)
CUDA_KERNELS := $(wildcard cuda/kernels/*.cu)
CUDA_LIB := $(if $(NVCC),$(BUILD)/libsluice_cuda.so)
CUDA_CODE := $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=[sm_$(a),compute_$(a)])
# No contraction: fma is written where it is meant. LZ4, so that PTX can be taken out.
NVCC_FLAGS := --fmad=false --ftz=false --prec-div=true --prec-sqrt=true -Werror all-warnings \
              --compress-mode=speed $(NVCCFLAGS)

.PHONY: cuda cuda-wheels
cuda: $(CUDA_LIB)
	$(if $(NVCC),@:,@echo 'no nvcc, and no wheels ($(MAKE) cuda-wheels): libsluice_cuda.so is not built')
cuda-wheels:
	python3 -m venv $(CUDA_WHEELS) && $(CUDA_WHEELS)/bin/pip install -q $(CUDA_PINS)

# All kernels are one translation unit, and so one module.
$(BUILD)/obj/cuda/kernels.fatbin: $(CUDA_KERNELS) $(wildcard cuda/kernels/*.cuh cuda/kernels/*.h) \
    $(wildcard src/core/*.h) plugin.h mk/cuda.mk
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)for f in $(CUDA_KERNELS); do echo "#include \"$$f\""; done >$(@D)/kernels.cu
	$(Q)$(NVCC) $(NVCC_FLAGS) -I. $(CUDA_CODE) -fatbin -o $@ $(@D)/kernels.cu

$(BUILD)/obj/cuda/cu_fatbin.o: cuda/cu_fatbin.S $(BUILD)/obj/cuda/kernels.fatbin
	$(call say,AS)
	$(Q)$(CC) $(CFLAGS_ALL) -DSLC_FATBIN='"$(BUILD)/obj/cuda/kernels.fatbin"' -c -o $@ $<

$(BUILD)/libsluice_cuda.so: $(CUDA_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/cuda/cu_fatbin.o \
    $(patsubst %.c,$(BUILD)/obj/%.o,$(CORE_SRC) $(BACKEND_SRC)) abi/plugin.map
	$(call say,LD)
	$(Q)$(CC) -O2 -g $(PLUGIN_LD) $(CLOSED) $(LDFLAGS) -o $@ $(filter %.o,$^) -ldl -lm -pthread

# The kernels' sources on the CPU, behind a driver of their own: what computes wrong shows here
# before a PTX interpreter or a GPU sees it.
.PHONY: hostgpu
hostgpu: $(BUILD)/hostgpu/libcuda.so.1
$(BUILD)/hostgpu/libcuda.so.1: tests/cuda/host_gpu.cc tests/cuda/host_warp.h cuda/cu_types.h \
    $(CUDA_KERNELS) $(wildcard cuda/kernels/*.cuh cuda/kernels/*.h src/core/*.h) plugin.h mk/cuda.mk
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)for f in $(CUDA_KERNELS); do echo "#include \"$$f\""; done >$(@D)/kernels.cc
	$(Q)$(CXX) -std=c++17 -O2 -g -fPIC -shared -ffp-contract=off -pthread -I. -Wall -Wextra \
	    -Wno-unused-function -Wno-unknown-pragmas -include tests/cuda/host_warp.h $(CXXFLAGS) -o $@ \
	    $(@D)/kernels.cc tests/cuda/host_gpu.cc

$(BUILD)/cuda_counts $(BUILD)/cuda_faults: $(BUILD)/%: tests/cuda/%.c plugin.h $(wildcard abi/ext/*.h) mk/cuda.mk
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 -g -Wno-missing-field-initializers -o $@ $< -ldl -lm

# With ranks as threads.
$(BUILD)/cuda_moves: tests/cuda/move_scene.c tests/cuda/move_scene.h
$(BUILD)/cuda_moves $(BUILD)/cuda_lost $(BUILD)/cuda_layout: $(BUILD)/%: tests/cuda/%.c src/comm/comm_threads.c \
    src/comm/comm_threads.h plugin.h $(wildcard abi/ext/*.h) mk/cuda.mk
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 -g -Wno-missing-field-initializers -o $@ $(filter %.c,$^) -ldl -pthread

# Ranks that come, go and are killed.
$(BUILD)/cuda_joins $(BUILD)/cuda_killed: $(BUILD)/%: tests/cuda/%.c tests/cuda/trip_kit.c tests/cuda/trip_kit.h \
    src/comm/comm_threads.c src/comm/comm_threads.h plugin.h $(wildcard abi/ext/*.h) mk/cuda.mk
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 -g -Wno-missing-field-initializers -o $@ $(filter %.c,$^) -ldl -pthread

$(BUILD)/cuda_differs $(BUILD)/balance_differs: $(BUILD)/%: tests/cuda/%.c tests/cuda/differ_kit.c \
    tests/cuda/differ_kit.h plugin.h $(wildcard abi/ext/*.h) mk/cuda.mk
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 -g -Wno-missing-field-initializers -o $@ $(filter %.c,$^) -ldl \
	    -lm

# Kernels launched by themselves.
$(BUILD)/balance_solves $(BUILD)/water_places: $(BUILD)/%: tests/cuda/%.c tests/cuda/kernel_kit.c \
    $(patsubst %,$(BUILD)/obj/cuda/%.o,cu_driver cu_gpu cu_fatbin) \
    $(BUILD)/obj/src/backend/bk_fork.o $(CORE_SRC:%.c=$(BUILD)/obj/%.o) \
    $(wildcard cuda/kernels/*.h tests/standin/*.h tests/cuda/*.h) mk/cuda.mk
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 -g -Wno-missing-field-initializers -o $@ $(filter %.c %.o,$^) -ldl \
	    -lm -pthread

# What the kernels execute on the stand-in, and what ptxas makes of them.
.PHONY: bench-cuda
bench-cuda: $(if $(NVCC),cuda standin $(addprefix $(BUILD)/,cuda_counts cuda_layout balance_solves))
	$(if $(NVCC),@python3 tests/bench_cuda.py '$(BUILD)' '$(NVCC)' '$(BUILD)/bench.json',\
	    @echo 'no nvcc: the CUDA kernels are not counted')

# The peers' gates on the same stand-in. PEERS: the folder of their packages, unpacked.
PEERS ?= $(BUILD)/peers
.PHONY: bench-peers
bench-peers: $(if $(NVCC),cuda standin $(BUILD)/cuda_counts)
	$(if $(NVCC),@python3 tests/bench_peers.py '$(BUILD)' '$(NVCC)' '$(PEERS)',\
	    @echo 'no nvcc: the peers are not compiled')

.PHONY: test-gpu
test-gpu:
	@BUILD='$(BUILD)' CC='$(CC)' CXX='$(CXX)' bash tests/gpu.sh
