/* The subcommands. Each gets its own name as argv[0] and returns the exit status: 0, 1 (a check
 * failed) or 2 (a bad file, shape or option, told in one line). */
#ifndef SL_TOOL_COMMANDS_H
#define SL_TOOL_COMMANDS_H

int sl_cmd_info(int argc, char **argv);
int sl_cmd_replay(int argc, char **argv);
int sl_cmd_bench(int argc, char **argv);
int sl_cmd_eval(int argc, char **argv);
int sl_cmd_plan(int argc, char **argv);
int sl_cmd_diagnose(int argc, char **argv);

#endif
