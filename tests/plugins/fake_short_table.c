/* An old table that ends before the last function. */
#define FAKE_SIZE (sizeof(sluice_api) - sizeof(void *))
#include "fake_table.h"
