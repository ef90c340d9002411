/* Its table is of another major than it was asked for. */
#define FAKE_MAJOR (SLUICE_ABI_MAJOR + 1)
#include "fake_table.h"
