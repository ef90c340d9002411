# One plugin a mutant: the files that mention SL_MUTANT(name) compiled again with that switch on,
# linked with the plugin's own objects. abi/mutants/mutants.txt has the names:
#     name | what it breaks | the case that is tried first
MUTANT_LIST := $(wildcard abi/mutants/mutants.txt)
MUTANTS := $(if $(MUTANT_LIST),$(shell sed -n 's/^ *\([a-z0-9_]*\) *|.*/\1/p' $(MUTANT_LIST)))
# path:name, a pair for each switch in a source file
MUTANT_SWITCHES := $(if $(LIB_SRC),$(shell grep -oE 'SL_MUTANT\([a-z0-9_]+\)' $(LIB_SRC) /dev/null \
                     | sed 's/SL_MUTANT(\(.*\))/\1/' | sort -u))

# $(call mutant_src,name): where its switch is. Switches of choosing and adding are in the portable
# code, which a mutant must then choose.
mutant_in = $(patsubst %:$(1),%,$(filter %:$(1),$(MUTANT_SWITCHES)))
mutant_src = $(mutant_in) $(if $(filter src/core/choose_%,$(mutant_in)),src/cpu/cpu_choose.c) \
             $(if $(filter src/core/sum.c,$(mutant_in)),src/cpu/cpu_sum.c)

mutants: $(MUTANTS:%=$(BUILD)/mutants/%.so)

# The plugin stands for all its sources: any change of it builds the mutant again.
define mutant
$(BUILD)/mutants/$(1).so: $(BUILD)/libsluice_cpu.so $(MUTANT_LIST)
	@mkdir -p $$(@D)
	$$(if $$(strip $$(call mutant_src,$(1))),,$$(error mutant $(1): no source file has SL_MUTANT($(1))))
	$$(call say,LD)
	$$(Q)$$(CC) $$(CFLAGS_ALL) -O1 -g -DSLUICE_MUTANTS -DSLUICE_MUTANT_$(1)=1 $$(PLUGIN_LD) $$(CLOSED) -o $$@ \
	    $$(call mutant_src,$(1)) \
	    $$(patsubst %.c,$$(BUILD)/obj/%.o,$$(filter-out $$(call mutant_src,$(1)),$$(LIB_SRC))) \
	    -lm -pthread
endef
$(foreach m,$(MUTANTS),$(eval $(call mutant,$(m))))
