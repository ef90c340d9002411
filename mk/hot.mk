# The loop that tests/system_calls.sh looks at. conform_alloc counts malloc; the plugin binds to it
# because the program exports it.
.PHONY: hot
hot: lib $(BUILD)/hot_loop

$(BUILD)/hot_loop: $(patsubst %,$(BUILD)/obj/%.o,tests/hot/hot_loop abi/conformance/conform_alloc \
    abi/hosts/host_kit src/comm/comm_threads)
	$(call say,LD)
	$(Q)$(CC) $(HARDEN) $(LDFLAGS) -rdynamic -o $@ $^ -ldl -lm -pthread
