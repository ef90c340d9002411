/* What pictures have in common: the page, its colours, its texts. */
#ifndef SL_TOOL_SVG_PAGE_H
#define SL_TOOL_SVG_PAGE_H

#include <stdio.h>

enum { SL_PAGE_WIDTH = 900 };

#define SL_INK "#1f2933"
#define SL_MUTED "#5f6b7a"
#define SL_RULE "#c9d0d8"

/* The white page with its title; the second line is begun and is the caller's to end. */
void sl_page_begin(FILE *out, int height, const char *title);
/* Text, its markup as text. */
void sl_page_text(FILE *out, const char *text);

#endif
