/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of instructions against C. A list (form_list_*.h) has a line for each:
 *
 *     FORM(add_s32, "w=ww", a + b)
 *
 * The name is the opcode with '_' for '.', cut at "__" (for a second line of one opcode). The shape
 * says what is written and read: h, w, x are registers of 16, 32 and 64 bits, f and e of f32 and
 * f64, p predicates; braces are written as they stand, and what follows a ',' as it is. a, b and c
 * are the operands, cut to their width; the result is cut to what is written. A shape with a ';' is
 * text as it stands that finds a, b, c in %rd, %r, %rs 1, 2, 3, may use %p, %f and %r up to 8 and
 * %rd up to 9, and leaves %rd9. */
#ifndef STANDIN_FORM_KIT_H
#define STANDIN_FORM_KIT_H

#include <math.h>
#include <string.h>

#include "standin_kit.h"

typedef uint64_t form_want(uint64_t a, uint64_t b, uint64_t c);

struct form {
    const char *id; /* NULL ends a list */
    const char *shape;
    form_want *want;
};

/* What a warp's lanes get from all lanes: v and u are the values %r1 and %r2 of the 32 lanes. */
typedef uint64_t form_lanes_want(const uint32_t *v, const uint32_t *u, uint32_t lane);

struct form_lanes {
    const char *id;   /* NULL ends a list */
    const char *text; /* leaves %rd9 */
    form_lanes_want *want;
};

extern const struct form forms_int[], forms_convert[], forms_float[], forms_control[];
extern const struct form_lanes forms_lanes[];
extern const char *const forms_memory[]; /* NULL ends it */

/* The opcode of a name, in `room` bytes. */
void form_opcode(const char *id, char *out, size_t room);

/* Checks every form of a list on all pairs of edge values, with four third ones. */
void form_check(const struct form *list);

/* Runs a kernel of `blocks` x `threads`: `text` finds its number in %r13, the addresses of in and
 * out in %rd10 and %rd11. False after a failed check. */
bool form_run(const char *text, unsigned blocks, unsigned threads, const void *in, size_t in_bytes,
              void *out, size_t out_bytes);

/* Can the memory check judge this opcode, and does it hold? (form_memory.c) */
bool form_is_memory(const char *opcode);
void form_check_memory(const char *opcode);

#define FORM_FUNCTION(id_, shape_, expr_)                                                          \
    static uint64_t want_##id_(uint64_t a, uint64_t b, uint64_t c)                                 \
    {                                                                                              \
        (void)a, (void)b, (void)c;                                                                 \
        return (uint64_t)(expr_);                                                                  \
    }
#define FORM_ENTRY(id_, shape_, expr_) {#id_, shape_, want_##id_},

#define U(x) ((uint32_t)(x))
#define S(x) ((int32_t)(uint32_t)(x))
#define L(x) ((int64_t)(x))
#define SH(x) ((int16_t)(uint16_t)(x))

#endif
