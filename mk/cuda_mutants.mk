# The mutants of libsluice_cuda.so, of the same list as the CPU plugin's (mk/mutants.mk): those
# whose switch is in the kernels, in cuda/*.c, or in the backends' common sources and executed by
# this backend. abi/mutants/not_cuda.txt has the others, and why. Their kernels are PTX for one
# architecture, compiled again where the switch is in them.
CUDA_HOST := $(CORE_SRC) $(BACKEND_SRC) $(CUDA_SRC)
CUDA_READ := $(CUDA_KERNELS) $(wildcard cuda/kernels/*.cuh cuda/kernels/*.h)
CUDA_SWITCHES := $(if $(CUDA_SRC),$(shell grep -oE 'SL_MUTANT\([a-z0-9_]+\)' $(CUDA_HOST) \
                     $(CUDA_READ) | sed 's/SL_MUTANT(\(.*\))/\1/' | sort -u))
CUDA_MUTANTS_NOT := $(shell sed -n 's/^ *\([a-z0-9_]*\) *|.*/\1/p' abi/mutants/not_cuda.txt)
cuda_mutant_in = $(patsubst %:$(1),%,$(filter %:$(1),$(CUDA_SWITCHES)))
cuda_mutant_src = $(filter %.c,$(cuda_mutant_in))
CUDA_MUTANTS := $(foreach m,$(filter-out $(CUDA_MUTANTS_NOT),$(MUTANTS)),\
                    $(if $(call cuda_mutant_in,$(m)),$(m)))
MUTANT_CODE := $(filter-out -Werror all-warnings,$(NVCC_FLAGS)) -w -I. \
               -gencode arch=compute_90,code=compute_90 -fatbin

.PHONY: cuda-mutants cuda-mutants-list
cuda-mutants: $(if $(NVCC),$(CUDA_MUTANTS:%=$(BUILD)/cuda_mutants/%.so))
cuda-mutants-list:
	@printf '%s\n' $(CUDA_MUTANTS)

# Kernels with a switch on; as they are for mutants that have it on the host alone.
$(BUILD)/cuda_mutants/as_shipped.o $(CUDA_MUTANTS:%=$(BUILD)/cuda_mutants/%.o): \
$(BUILD)/cuda_mutants/%.o: $(BUILD)/libsluice_cuda.so mk/cuda_mutants.mk
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) $(MUTANT_CODE) -DSLUICE_MUTANTS -DSLUICE_MUTANT_$*=1 -o $(@:.o=.fatbin) \
	    $(BUILD)/obj/cuda/kernels.cu
	$(Q)$(CC) $(CFLAGS_ALL) -DSLC_FATBIN='"$(@:.o=.fatbin)"' -c -o $@ cuda/cu_fatbin.S
	$(Q)rm $(@:.o=.fatbin)

# The plugin stands for all its sources: any change of it builds the mutant again.
define cuda_mutant
$(BUILD)/cuda_mutants/$(1).so: $(BUILD)/libsluice_cuda.so $(MUTANT_LIST) \
    $(BUILD)/cuda_mutants/$(if $(filter cuda/kernels/%,$(call cuda_mutant_in,$(1))),$(1),as_shipped).o
	$$(call say,LD)
	$$(Q)$$(CC) $$(CFLAGS_ALL) -O1 -DSLUICE_MUTANTS -DSLUICE_MUTANT_$(1)=1 $$(PLUGIN_LD) $$(CLOSED) \
	    -s -o $$@ $$(filter %.o,$$^) $(call cuda_mutant_src,$(1)) \
	    $$(patsubst %.c,$$(BUILD)/obj/%.o,$$(filter-out $(call cuda_mutant_src,$(1)),$$(CUDA_HOST))) \
	    -ldl -lm -pthread
endef
$(foreach m,$(CUDA_MUTANTS),$(eval $(call cuda_mutant,$(m))))
