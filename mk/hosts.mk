# The example engines: one program for each abi/hosts/host_*.c, and the C++ one of its two files.
HOST_KIT := $(BUILD)/obj/abi/hosts/host_kit.o $(BUILD)/obj/src/comm/comm_threads.o
HOST_C := $(filter-out host_kit,$(notdir $(basename $(wildcard abi/hosts/host_*.c))))
HOSTS := $(HOST_C:%=$(BUILD)/hosts/%) \
         $(if $(wildcard abi/hosts/host_process.cc),$(BUILD)/hosts/host_process)

hosts: lib $(HOSTS)

$(HOST_C:%=$(BUILD)/hosts/%): $(BUILD)/hosts/%: $(BUILD)/obj/abi/hosts/%.o $(HOST_KIT)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(HARDEN) $(LDFLAGS) -o $@ $^ -ldl -lm -pthread

$(BUILD)/hosts/host_process: $(patsubst %,$(BUILD)/obj/abi/hosts/%.o,host_process host_mesh)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CXX) $(HARDEN) $(LDFLAGS) -o $@ $^ -ldl -pthread
