#include "tool_options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool_file.h"

enum { FIRST = 1000 };

static int take_number(const struct sl_option *option, const char *value, char *err, size_t n)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < option->least || number > option->most)
        return sl_tool_error(err, n, "--%s is %s: must be %lld to %lld", option->name, value,
                             (long long)option->least, (long long)option->most);
    *option->number = (int32_t)number;
    return 0;
}

static int take_real(const struct sl_option *option, const char *value, char *err, size_t n)
{
    char *end = NULL;
    double real = strtod(value, &end);
    if (end == value || *end || !isfinite(real) || real < (double)option->least ||
        real > (double)option->most)
        return sl_tool_error(err, n, "--%s is %s: must be %lld to %lld", option->name, value,
                             (long long)option->least, (long long)option->most);
    *option->real = real;
    return 0;
}

static int take_word(const struct sl_option *option, const char *value, char *err, size_t n)
{
    char all[120] = "";
    for (const struct sl_option_word *w = option->words; w->name; w++) {
        if (strcmp(w->name, value) == 0) {
            *option->number = w->value;
            return 0;
        }
        size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", w->name);
    }
    return sl_tool_error(err, n, "--%s is %s: must be one of %s", option->name, value, all);
}

static int take(const struct sl_option *option, const char *value, char *err, size_t n)
{
    if (option->flag) {
        *option->flag = true;
        return 0;
    }
    if (option->text) {
        *option->text = value;
        return 0;
    }
    if (option->real)
        return take_real(option, value, err, n);
    return option->words ? take_word(option, value, err, n) : take_number(option, value, err, n);
}

int sl_options_parse(int argc, char **argv, const struct sl_option *options, int count, int *first,
                     char *err, size_t n)
{
    struct option names[SL_OPTIONS_MOST + 2] = {{"help", no_argument, NULL, 'h'}};
    char letters[2 * SL_OPTIONS_MOST + 3] = ":h";
    assert(count <= SL_OPTIONS_MOST);
    for (int i = 0; i < count; i++) {
        names[i + 1] = (struct option){
            options[i].name, options[i].flag ? no_argument : required_argument, NULL, FIRST + i};
        size_t used = strlen(letters);
        if (options[i].letter)
            (void)snprintf(letters + used, sizeof letters - used, "%c:", options[i].letter);
    }
    optind = 0; /* begins anew, whatever an earlier call left half read */
    opterr = 0;
    for (;;) {
        int found = getopt_long(argc, argv, letters, names, NULL);
        if (found == -1)
            break;
        if (found == 'h')
            return 1;
        if (found == ':')
            return sl_tool_error(err, n, "%s needs a value", argv[optind - 1]);
        int at = found - FIRST;
        for (int i = 0; found < FIRST && i < count; i++)
            if (options[i].letter == found)
                at = i;
        if (at < 0)
            return sl_tool_error(err, n, "there is no option %s: `sluice help %s` lists them",
                                 argv[optind - 1], argv[0]);
        if (take(&options[at], optarg, err, n))
            return -1;
    }
    *first = optind;
    return 0;
}
