/* Options of a subcommand, from one table. */
#ifndef SL_TOOL_OPTIONS_H
#define SL_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A word an option may be, and what it stands for. A list ends with a NULL name. */
struct sl_option_word {
    const char *name;
    int32_t value;
};

/* --name VALUE is a text, a real number, or a whole number from least to most or one of words;
 * the one of text, real and number that is given says which. `letter` is its short form, or 0. */
struct sl_option {
    const char *name;
    bool *flag; /* takes no value, and becomes true */
    const char **text;
    double *real;
    int32_t *number;
    int64_t least, most;
    const struct sl_option_word *words;
    int letter;
};

enum { SL_OPTIONS_MOST = 40 };

/* argv[0] is the subcommand. Returns 0 with the files at argv[*first ... argc), 1 when help was
 * asked for, or -1 with a line in err. */
int sl_options_parse(int argc, char **argv, const struct sl_option *options, int count, int *first,
                     char *err, size_t n);

#endif
