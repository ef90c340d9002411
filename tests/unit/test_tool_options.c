/* Options from one table. */
#include <string.h>

#include "ct.h"
#include "tool/tool_options.h"

struct values {
    const char *text;
    double real;
    int32_t number, word;
};

static const struct sl_option_word words[] = {{"red", 7}, {"green", 9}, {NULL, 0}};

/* "sub" and up to six arguments. */
static int parse(struct values *v, char **arguments, int *first, char *err)
{
    const struct sl_option options[] = {
        {.name = "output", .text = &v->text, .letter = 'o'},
        {.name = "target", .real = &v->real, .least = 1, .most = 10},
        {.name = "ranks", .number = &v->number, .least = 1, .most = 64},
        {.name = "colour", .number = &v->word, .words = words},
    };
    int count = 0;
    while (arguments[count])
        count++;
    return sl_options_parse(count, arguments, options, 4, first, err, 200);
}

#define ARGUMENTS(...) ((char *[]){(char[]){"sub"}, __VA_ARGS__, NULL})

CT(tool_options, reads, "texts, reals, numbers, words and short forms; files stay behind")
{
    struct values v = {0};
    int first = 0;
    char err[200] = "";
    char o[] = "-o", file[] = "a", target[] = "--target=2.5", ranks[] = "--ranks", n[] = "8";
    char colour[] = "--colour=green", x[] = "x.json", y[] = "y.json";
    char *arguments[] = {(char[]){"sub"}, x, o, file, target, ranks, n, colour, y, NULL};
    ct_eq_i64(parse(&v, arguments, &first, err), 0);
    ct_str_eq(v.text, "a");
    ct_true(v.real == 2.5);
    ct_eq_i64(v.number, 8);
    ct_eq_i64(v.word, 9);
    ct_eq_i64(first, 7);
    ct_str_eq(arguments[7], "x.json");
    ct_str_eq(arguments[8], "y.json");
}

static void refuse(char **arguments, const char *says)
{
    struct values v = {0};
    int first = 0;
    char err[200] = "";
    ct_note("%s", arguments[1]);
    ct_expect_eq_i64(parse(&v, arguments, &first, err), -1);
    ct_expect_str_has(err, says);
}

CT(tool_options, refuses, "each bad option is named, with what it should be")
{
    refuse(ARGUMENTS((char[]){"--ranks=65"}), "--ranks is 65: must be 1 to 64");
    refuse(ARGUMENTS((char[]){"--ranks=0"}), "--ranks is 0: must be 1 to 64");
    refuse(ARGUMENTS((char[]){"--ranks=8x"}), "--ranks is 8x: must be 1 to 64");
    refuse(ARGUMENTS((char[]){"--ranks="}), "--ranks is : must be 1 to 64");
    refuse(ARGUMENTS((char[]){"--ranks=99999999999999999999"}), "must be 1 to 64");
    refuse(ARGUMENTS((char[]){"--target=0.5"}), "--target is 0.5: must be 1 to 10");
    refuse(ARGUMENTS((char[]){"--target=nan"}), "--target is nan: must be 1 to 10");
    refuse(ARGUMENTS((char[]){"--target=2e"}), "--target is 2e: must be 1 to 10");
    refuse(ARGUMENTS((char[]){"--colour=blue"}), "--colour is blue: must be one of red, green");
    refuse(ARGUMENTS((char[]){"--sound=1"}), "there is no option --sound=1: `sluice help sub`");
    refuse(ARGUMENTS((char[]){"-x"}), "there is no option -x");
    refuse(ARGUMENTS((char[]){"--ranks"}), "--ranks needs a value");
    refuse(ARGUMENTS((char[]){"-o"}), "-o needs a value");
}

CT(tool_options, help, "help is asked for by --help or -h, before what is wrong later")
{
    struct values v = {0};
    int first = 0;
    char err[200] = "";
    ct_eq_i64(parse(&v, ARGUMENTS((char[]){"--help"}, (char[]){"--ranks=0"}), &first, err), 1);
    ct_eq_i64(parse(&v, ARGUMENTS((char[]){"-h"}), &first, err), 1);
}
