/* A strict JSON reader (RFC 8259) and a JSON writer. */
#ifndef SL_TOOL_JSON_H
#define SL_TOOL_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum sl_json_type {
    SL_JSON_NULL,
    SL_JSON_FALSE,
    SL_JSON_TRUE,
    SL_JSON_INT,  /* written without a fraction or with zeros only, and fits 64 bits: exact */
    SL_JSON_REAL, /* any other number */
    SL_JSON_STRING,
    SL_JSON_ARRAY,
    SL_JSON_OBJECT
};

enum { SL_JSON_MAX_DEPTH = 64, SL_JSON_MAX_MEMBERS = 1024 };

/* A document is one array of 16-byte nodes in reading order: a container is followed by its
 * children, an object's children are key, value, key, value. So a million numbers cost 16 MB and no
 * allocation each. Nodes are named by index; the whole document is node 0. */
struct sl_json_node {
    uint32_t type;
    uint32_t count; /* elements, members, or bytes of a string (up to 4 G) */
    union {
        int64_t integer;
        double real;
        uint64_t end;  /* containers: the node after the last child */
        uint64_t text; /* strings: where they begin in text, zero-terminated */
    } as;
};

struct sl_json {
    struct sl_json_node *node;
    size_t nodes, room;
    char *text;
    size_t text_size;
};

/* Parses size bytes into a document of its own. Refuses what is not JSON to the letter: invalid
 * UTF-8, keys that occur twice, numbers beyond a double, more than SL_JSON_MAX_DEPTH levels or
 * SL_JSON_MAX_MEMBERS members of an object, and anything after the value. Returns 0, or -1 with one
 * line in err that begins with line and column. Needs the "C" numeric locale. */
int sl_json_parse(const uint8_t *bytes, size_t size, struct sl_json *json, char *err, size_t n);
int sl_json_load(const char *path, struct sl_json *json, char *err, size_t n);
void sl_json_free(struct sl_json *json);

/* The node after `at` and all that is in it: the next sibling, if there is one. */
size_t sl_json_next(const struct sl_json *json, size_t at);
/* A member's value, or 0 where `at` is not an object or has no such key. (0 is never a member.) */
size_t sl_json_get(const struct sl_json *json, size_t at, const char *key);
const char *sl_json_text(const struct sl_json *json, size_t at);
/* A whole number, exactly: 1 and *value, else 0. */
int sl_json_whole(const struct sl_json *json, size_t at, int64_t *value);
const char *sl_json_type_name(uint32_t type);

/* Writes as it is called; nothing is checked but the depth. Members of an object come on lines of
 * their own, as do containers in an array; plain array elements share a line. */
struct sl_json_writer {
    FILE *file;
    int depth;
    int after_key;
    unsigned char kind[SL_JSON_MAX_DEPTH];
    unsigned char filled[SL_JSON_MAX_DEPTH];
};

void sl_jw_begin(struct sl_json_writer *w, FILE *file);
void sl_jw_object(struct sl_json_writer *w);
void sl_jw_array(struct sl_json_writer *w);
void sl_jw_close(struct sl_json_writer *w); /* the innermost object or array */
void sl_jw_key(struct sl_json_writer *w, const char *key);
void sl_jw_string(struct sl_json_writer *w, const char *text);
void sl_jw_int(struct sl_json_writer *w, int64_t value);
void sl_jw_real(struct sl_json_writer *w, double value); /* NaN and infinities become null */
void sl_jw_bool(struct sl_json_writer *w, int value);
void sl_jw_null(struct sl_json_writer *w);

#endif
