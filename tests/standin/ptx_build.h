/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the PTX parser share. A function that returns bool gives false after a failure
 * whose message is in *why. */
#ifndef STANDIN_PTX_BUILD_H
#define STANDIN_PTX_BUILD_H

#include "ptx.h"
#include "ptx_lex.h"

enum symbol_kind { SY_REG, SY_PRED, SY_SHARED, SY_LOCAL, SY_PARAM, SY_VARIABLE };

struct symbol {
    char name[200];
    enum symbol_kind kind;
    int32_t first, count; /* count > 0: name<count>, that is name0, name1, ... */
    int bits;
    uint64_t address;
};

struct label {
    char name[200];
    int32_t at; /* -1: not met yet */
    bool is_table;
};

struct build {
    struct lex lex;
    struct ptx_module *module;
    struct ptx_function *function;
    struct symbol *symbols;
    int32_t nsymbols;
    struct label *labels;
    int32_t nlabels;
    int32_t source_line;
    uint32_t used_bytes; /* of the next instruction, 0: all */
    uint64_t (*place)(void *arg, uint64_t bytes);
    void *arg;
    char *why;
    size_t why_bytes;
};

__attribute__((format(printf, 2, 3))) bool build_fail(struct build *b, const char *format, ...);

/* *array of `count` elements gets room for one more; ends the process without memory. Returns the
 * new element, zeroed. */
void *build_grow(void *array, int32_t count, size_t bytes);
char *build_copy(const char *text);

bool build_is(const struct build *b, char punct);
bool build_is_word(const struct build *b, const char *word);
/* Past a character, or a failure that names what stood there. */
bool build_expect(struct build *b, char punct);
/* An integer with an optional sign. */
bool build_int(struct build *b, int64_t *value);

const struct symbol *build_find(const struct build *b, const char *name, int32_t *index);
struct symbol *build_add(struct build *b, const char *name, enum symbol_kind kind);
int32_t build_label(struct build *b, const char *name);
/* Adds a row of `bits`, or a predicate. */
int32_t build_row(struct build *b, int bits);

/* Reads a variable after its space: [.align n] .type name[dims] [= values], to the ';' or ','. */
struct build_variable {
    char name[200];
    uint64_t bytes, align;
    int type;
    uint8_t *data; /* the caller's; NULL without values */
};
bool build_variable(struct build *b, struct build_variable *out);

/* The operands of *ins by its form's shape, up to the ';'. */
bool build_operands(struct build *b, struct ptx_ins *ins);

/* The body of a function after its '{', to its '}'. */
bool build_body(struct build *b);

#endif
