/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols, labels, messages and small readers of the PTX parser. */
#include "ptx_build.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool build_fail(struct build *b, const char *format, ...)
{
    char text[256];
    va_list args;
    if (b->why[0])
        return false;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)snprintf(b->why, b->why_bytes, "PTX line %d%s%s: %s", b->lex.word_line,
                   b->function ? ", in " : "", b->function ? b->function->name : "", text);
    return false;
}

void *build_grow(void *array, int32_t count, size_t bytes)
{
    if ((count & (count - 1)) == 0) {
        array = realloc(array, (count ? 2 * (size_t)count : 1) * bytes);
        if (!array)
            abort();
    }
    memset((char *)array + (size_t)count * bytes, 0, bytes);
    return array;
}

char *build_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (!copy)
        abort();
    return memcpy(copy, text, bytes);
}

bool build_is(const struct build *b, char punct)
{
    return b->lex.kind == LEX_PUNCT && b->lex.punct == punct;
}

bool build_is_word(const struct build *b, const char *word)
{
    return b->lex.kind == LEX_WORD && strcmp(b->lex.word, word) == 0;
}

bool build_expect(struct build *b, char punct)
{
    if (!build_is(b, punct))
        return build_fail(b, "'%s' where '%c' should be", b->lex.word, punct);
    lex_next(&b->lex);
    return true;
}

bool build_int(struct build *b, int64_t *value)
{
    uint64_t bits;
    int is_float;
    bool minus = build_is(b, '-');
    if (minus)
        lex_next(&b->lex);
    if (b->lex.kind != LEX_NUMBER || !lex_number(b->lex.word, &bits, &is_float) || is_float)
        return build_fail(b, "'%s' is no integer", b->lex.word);
    *value = minus ? (int64_t)(0 - bits) : (int64_t)bits;
    lex_next(&b->lex);
    return true;
}

const struct symbol *build_find(const struct build *b, const char *name, int32_t *index)
{
    size_t stem = strlen(name);
    while (stem > 0 && isdigit((unsigned char)name[stem - 1]))
        stem--;
    for (int32_t i = b->nsymbols - 1; i >= 0; i--) {
        const struct symbol *symbol = &b->symbols[i];
        if (symbol->count == 0) {
            if (strcmp(symbol->name, name) == 0) {
                *index = symbol->first;
                return symbol;
            }
        } else if (name[stem] && strncmp(symbol->name, name, stem) == 0 &&
                   symbol->name[stem] == '\0') {
            long n = strtol(name + stem, NULL, 10);
            *index = symbol->first + (int32_t)n;
            return n < symbol->count ? symbol : NULL;
        }
    }
    return NULL;
}

struct symbol *build_add(struct build *b, const char *name, enum symbol_kind kind)
{
    b->symbols = build_grow(b->symbols, b->nsymbols, sizeof *b->symbols);
    struct symbol *symbol = &b->symbols[b->nsymbols++];
    (void)snprintf(symbol->name, sizeof symbol->name, "%s", name);
    symbol->kind = kind;
    return symbol;
}

int32_t build_label(struct build *b, const char *name)
{
    for (int32_t i = 0; i < b->nlabels; i++)
        if (strcmp(b->labels[i].name, name) == 0)
            return i;
    b->labels = build_grow(b->labels, b->nlabels, sizeof *b->labels);
    struct label *label = &b->labels[b->nlabels];
    (void)snprintf(label->name, sizeof label->name, "%s", name);
    label->at = -1;
    return b->nlabels++;
}

int32_t build_row(struct build *b, int bits)
{
    return bits == 1 ? b->function->preds++ : b->function->rows++;
}
