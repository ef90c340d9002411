/* The harness itself: tests/run.sh wants "1 passed, 1 failed, 1 skipped" and exit code 1. */
#include "ct.h"

CT(selftest, passes, "a check that holds lets the test pass")
{
    ct_eq_i64(2 + 2, 4);
    ct_true(ct_expect_str_has("one two", "two"));
}

CT(selftest, fails, "a check that does not hold ends the test as failed")
{
    ct_note("row %d", 7);
    ct_eq_i64(2 + 2, 5);
    ct_skip("a failed check must have returned before this");
}

CT(selftest, skips, "a skip ends the test as skipped")
{
    ct_skip("skipped on purpose");
}
