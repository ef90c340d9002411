# Ranks over MPI: a library beside the plugin, and the program that tests both under mpiexec.
MPI_SRC := $(wildcard src/comm/comm_mpi*.c)
MPI_TEST_SRC := $(wildcard tests/mpi/*.c) abi/hosts/host_kit.c
MPI_CC = OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPICC)

$(BUILD)/libsluice_mpi.so: $(MPI_SRC) plugin.h $(wildcard src/comm/*.h) mk/mpi.mk
	@mkdir -p $(@D)
	$(call say,MPICC)
	$(Q)$(MPI_CC) $(CFLAGS_ALL) -O2 -g -shared $(CLOSED) $(HARDEN) $(LDFLAGS) -o $@ $(MPI_SRC)

mpi-test: lib $(BUILD)/mpi_test
$(BUILD)/mpi_test: $(MPI_TEST_SRC) $(wildcard tests/mpi/*.h) abi/hosts/host_kit.h \
    $(BUILD)/libsluice_mpi.so
	$(call say,MPICC)
	$(Q)$(MPI_CC) $(CFLAGS_ALL) -O1 -g $(LDFLAGS) -o $@ $(MPI_TEST_SRC) -L$(BUILD) -lsluice_mpi \
	    '-Wl,-rpath,$$ORIGIN' -ldl -lm
.PHONY: mpi-test
