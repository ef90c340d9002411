#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replay_mirror.h"
#include "tool_file.h"

int sl_replay_standin(char *err, size_t n)
{
    static const char *const names[] = {"libcuda.so.1", "libnccl.so.2"};
    char program[512], path[600];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    char *slash = strrchr(program, '/');
    if (!slash)
        return sl_tool_error(err, n, "the program's own folder is not known");
    *slash = '\0';
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/standin/%s", program, names[i]);
        /* NCCL's is needed by who exchanges alone, and says so itself. */
        if (!dlopen(path, RTLD_NOW | RTLD_GLOBAL) && i == 0)
            return sl_tool_error(err, n, "%s: `make standin` builds it", dlerror());
    }
    return 0;
}
