/* A table without combine. */
#define FAKE_COMBINE NULL
#include "fake_table.h"
