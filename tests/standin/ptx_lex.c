/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx_lex.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void lex_start(struct lex *lex, const char *text)
{
    memset(lex, 0, sizeof *lex);
    lex->at = text;
    lex->line = 1;
    lex_next(lex);
}

static void skip_blank(struct lex *lex)
{
    for (;;) {
        const char *p = lex->at;
        if (*p == '\n') {
            lex->line++;
            lex->at++;
        } else if (isspace((unsigned char)*p)) {
            lex->at++;
        } else if (p[0] == '/' && p[1] == '/') {
            lex->at += strcspn(p, "\n");
        } else if (p[0] == '/' && p[1] == '*') {
            lex->at += 2;
            while (*lex->at && !(lex->at[0] == '*' && lex->at[1] == '/'))
                lex->line += *lex->at++ == '\n';
            lex->at += *lex->at ? 2 : 0;
        } else {
            return;
        }
    }
}

static bool in_word(const char *p)
{
    return isalnum((unsigned char)*p) || *p == '_' || *p == '$' || *p == '%' || *p == '.';
}

static void take_word(struct lex *lex)
{
    size_t n = 0;
    while (in_word(lex->at) || (lex->at[0] == ':' && lex->at[1] == ':')) {
        size_t step = *lex->at == ':' ? 2 : 1;
        if (n + step >= sizeof lex->word) {
            lex->kind = LEX_BAD;
            return;
        }
        memcpy(lex->word + n, lex->at, step);
        n += step;
        lex->at += step;
    }
    lex->word[n] = '\0';
    lex->kind = isdigit((unsigned char)lex->word[0]) ? LEX_NUMBER : LEX_WORD;
}

static void take_string(struct lex *lex)
{
    size_t n = 0;
    for (lex->at++; *lex->at && *lex->at != '"' && *lex->at != '\n'; lex->at++)
        if (n + 1 < sizeof lex->word)
            lex->word[n++] = *lex->at;
    lex->word[n] = '\0';
    lex->kind = *lex->at == '"' ? LEX_STRING : LEX_BAD;
    lex->at += *lex->at == '"';
}

void lex_next(struct lex *lex)
{
    skip_blank(lex);
    lex->word_line = lex->line;
    lex->word[0] = '\0';
    lex->punct = '\0';
    if (*lex->at == '\0') {
        lex->kind = LEX_END;
    } else if (in_word(lex->at)) {
        take_word(lex);
    } else if (*lex->at == '"') {
        take_string(lex);
    } else {
        lex->kind = LEX_PUNCT;
        lex->punct = *lex->at++;
        lex->word[0] = lex->punct;
        lex->word[1] = '\0';
    }
}

bool lex_number(const char *word, uint64_t *bits, int *is_float)
{
    char *end = NULL;
    const char kind = word[0] == '0' ? word[1] : '\0';
    *is_float = 0;
    if (kind == 'f' || kind == 'F' || kind == 'd' || kind == 'D') {
        *is_float = kind == 'f' || kind == 'F' ? 32 : 64;
        if (strlen(word) != (*is_float == 32 ? 10U : 18U))
            return false;
        *bits = strtoull(word + 2, &end, 16);
    } else if (kind == 'b' || kind == 'B') {
        *bits = strtoull(word + 2, &end, 2);
    } else {
        *bits = strtoull(word, &end, 0);
    }
    if (*end == 'U')
        end++;
    return end != word && *end == '\0';
}
