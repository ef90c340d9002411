/* `sluice`: the command. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../../plugin.h"
#include "commands.h"

struct command {
    const char *name, *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"info", "what a plugin is and whether it can run here", sl_cmd_info},
    {"replay", "serve routing on many ranks and check every output", sl_cmd_replay},
    {"bench", "measure the plugin beside plain C and memcpy", sl_cmd_bench},
    {"eval", "how level a placement can be made under given counts", sl_cmd_eval},
    {"plan", "say where the copies of experts should live", sl_cmd_plan},
    {"diagnose", "is the load uneven, and what would each remedy gain", sl_cmd_diagnose},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    (void)fprintf(out, "usage: sluice COMMAND [options]\n");
    for (int i = 0; i < COMMANDS; i++)
        (void)fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
    (void)fprintf(out, "`sluice help COMMAND` tells more; the manual is sluice(1).\n");
}

static const struct command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    (void)fprintf(stderr, "sluice: there is no command %s: `sluice help` lists them\n", name);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("sluice %s, ABI %d.%d\n", SLUICE_VERSION, SLUICE_ABI_MAJOR, SLUICE_ABI_MINOR);
        return 0;
    }
    bool help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0;
    if (help && argc < 3) {
        print_help(stdout);
        return 0;
    }
    const struct command *command = find(argv[help ? 2 : 1]);
    if (!command)
        return 2;
    if (help) {
        char flag[] = "--help";
        char *arguments[] = {argv[2], flag, NULL};
        return command->run(2, arguments);
    }
    return command->run(argc - 1, argv + 1);
}
