/* Tests as C functions.
 *
 *     CT(remap, keeps_shared_last, "the shared column comes last")
 *     {
 *         ct_eq_i64(got, 3);
 *     }
 *
 * CT() leaves a pointer to the test in a linker section; ct.cc hands them all to GoogleTest.
 * A ct_* check that fails records file and line and returns from the function it stands in, which
 * must be void; ct_expect_* records and goes on, and gives whether it held. Both may be used from
 * any thread. In helpers use ct_expect_*, or look at ct_failed() after the call. */
#ifndef CT_H
#define CT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ct_case {
    const char *suite;
    const char *name;
    const char *title;
    const char *file;
    int line;
    void (*run)(void);
};

/* Each returns whether the check held, after recording the failure if it did not. */
bool ct_check_true(const char *file, int line, bool held, const char *text);
bool ct_check_i64(const char *file, int line, const char *text, int64_t got, int64_t want);
bool ct_check_u64(const char *file, int line, const char *text, uint64_t got, uint64_t want);
bool ct_check_f32bits(const char *file, int line, const char *text, float got, float want);
bool ct_check_near(const char *file, int line, const char *text, double got, double want,
                   double tolerance);
bool ct_check_mem(const char *file, int line, const char *text, const void *got, const void *want,
                  size_t bytes);
bool ct_check_str_eq(const char *file, int line, const char *text, const char *got,
                     const char *want);
bool ct_check_str_has(const char *file, int line, const char *text, const char *got,
                      const char *part);
void ct_record(const char *file, int line, const char *text);
void ct_record_skip(const char *file, int line, const char *why);

/* True when the running test has a failure so far. */
bool ct_failed(void);

/* Says what the test is at ("case %s, row %d"); printed with each failure after it. The running
 * test's, per thread; cleared when the test ends. */
__attribute__((format(printf, 1, 2))) void ct_note(const char *format, ...);

/* Zeroed memory that is freed when the test ends; any thread may ask. Never NULL: without memory
 * the run ends. */
void *ct_alloc(size_t bytes);

/* A deadline that a test lets pass, times $CT_PATIENCE where tests run slowly (under valgrind or a
 * sanitizer), so that who is in time there is in time too. */
int64_t ct_patience(int64_t nanoseconds);

/* The plugin built beside this test program (libsluice_cpu.so), or $SLUICE_TEST_PLUGIN. */
const char *ct_plugin_path(void);

/* Path of a file under ../shared ($SLUICE_SHARED), else under tests/; NULL when there is none.
 * The text lives until the test ends. */
const char *ct_shared(const char *path);

/* Called by ct.cc after each test. */
void ct_end_of_test(void);

#define CT(suite_, name_, title_)                                                                  \
    static void ct_run_##suite_##_##name_(void);                                                   \
    static const struct ct_case ct_case_##suite_##_##name_ = {                                     \
        #suite_, #name_, title_, __FILE__, __LINE__, ct_run_##suite_##_##name_};                   \
    __attribute__((                                                                                \
        used,                                                                                      \
        section("ct_cases"))) static const struct ct_case *const ct_entry_##suite_##_##name_ =     \
        &ct_case_##suite_##_##name_;                                                               \
    static void ct_run_##suite_##_##name_(void)

#define ct_expect_true(cond) ct_check_true(__FILE__, __LINE__, (cond), #cond)
#define ct_expect_eq_i64(got, want)                                                                \
    ct_check_i64(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define ct_expect_eq_u64(got, want)                                                                \
    ct_check_u64(__FILE__, __LINE__, #got, (uint64_t)(got), (uint64_t)(want))
#define ct_expect_eq_f32bits(got, want) ct_check_f32bits(__FILE__, __LINE__, #got, (got), (want))
#define ct_expect_near(got, want, tolerance)                                                       \
    ct_check_near(__FILE__, __LINE__, #got, (double)(got), (double)(want), (double)(tolerance))
#define ct_expect_eq_mem(got, want, bytes)                                                         \
    ct_check_mem(__FILE__, __LINE__, #got, (got), (want), (bytes))
#define ct_expect_str_eq(got, want) ct_check_str_eq(__FILE__, __LINE__, #got, (got), (want))
#define ct_expect_str_has(got, part) ct_check_str_has(__FILE__, __LINE__, #got, (got), (part))

#define CT_OR_RETURN(held)                                                                         \
    do {                                                                                           \
        if (!(held))                                                                               \
            return;                                                                                \
    } while (0)

#define ct_true(cond) CT_OR_RETURN(ct_expect_true(cond))
#define ct_eq_i64(got, want) CT_OR_RETURN(ct_expect_eq_i64(got, want))
#define ct_eq_u64(got, want) CT_OR_RETURN(ct_expect_eq_u64(got, want))
#define ct_eq_f32bits(got, want) CT_OR_RETURN(ct_expect_eq_f32bits(got, want))
#define ct_near(got, want, tolerance) CT_OR_RETURN(ct_expect_near(got, want, tolerance))
#define ct_eq_mem(got, want, bytes) CT_OR_RETURN(ct_expect_eq_mem(got, want, bytes))
#define ct_str_eq(got, want) CT_OR_RETURN(ct_expect_str_eq(got, want))
#define ct_str_has(got, part) CT_OR_RETURN(ct_expect_str_has(got, part))

#define ct_fail(text)                                                                              \
    do {                                                                                           \
        ct_record(__FILE__, __LINE__, (text));                                                     \
        return;                                                                                    \
    } while (0)
#define ct_skip(why)                                                                               \
    do {                                                                                           \
        ct_record_skip(__FILE__, __LINE__, (why));                                                 \
        return;                                                                                    \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
