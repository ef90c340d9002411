/* A small JSON reader for test data. Every getter takes NULL, and answers as for "not there", so
 * that a path can be followed without a check at each step. */
#ifndef CT_JSON_H
#define CT_JSON_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ct_json ct_json;

/* NULL when the file cannot be read or is not JSON; ct_json_error() then says why. */
ct_json *ct_json_load(const char *path);
ct_json *ct_json_parse(const char *text);
const char *ct_json_error(void);
void ct_json_free(ct_json *root);

const ct_json *ct_json_get(const ct_json *object, const char *key);
const ct_json *ct_json_at(const ct_json *array, size_t index);
/* Key of an object's index-th member. */
const char *ct_json_key(const ct_json *object, size_t index);
/* Elements of an array, members of an object, else 0. */
size_t ct_json_len(const ct_json *value);

bool ct_json_is_null(const ct_json *value);
double ct_json_num(const ct_json *value, double otherwise);
long long ct_json_int(const ct_json *value, long long otherwise);
const char *ct_json_str(const ct_json *value, const char *otherwise);
bool ct_json_bool(const ct_json *value, bool otherwise);

/* The entry of one case ("topk/…") in golden/index.json, or NULL. The index is read once. */
const ct_json *ct_golden_case(const char *name);
/* The array of all its cases, or NULL where the golden files are absent. */
const ct_json *ct_golden_cases(void);
/* How many cases a test must have found: `whole`, or `part` of the few kept in tests/golden. */
int ct_golden_count(int whole, int part);

#endif
