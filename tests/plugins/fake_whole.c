/* A whole table of a later minor: loads. */
#include "fake_table.h"
