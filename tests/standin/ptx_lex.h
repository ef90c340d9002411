/* SPDX-License-Identifier: Apache-2.0 */
/* The words of PTX text. */
#ifndef STANDIN_PTX_LEX_H
#define STANDIN_PTX_LEX_H

#include <stdbool.h>
#include <stdint.h>

enum lex_kind { LEX_END, LEX_WORD, LEX_NUMBER, LEX_STRING, LEX_PUNCT, LEX_BAD };

struct lex {
    const char *at;
    int32_t line;
    enum lex_kind kind; /* of the word now looked at */
    int32_t word_line;
    char word[256];
    char punct; /* LEX_PUNCT: the character */
};

void lex_start(struct lex *lex, const char *text);

/* Goes to the next word. */
void lex_next(struct lex *lex);

/* The bits of a number: decimal, 0x, 0b, 0 octal, 0f and 0d with the bits of a float. False when it
 * is none. *is_float: 32 or 64 for 0f and 0d, else 0. */
bool lex_number(const char *word, uint64_t *bits, int *is_float);

#endif
