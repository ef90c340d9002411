/* Runs a fuzz target on the files and folders named, without a fuzzer:
 *     cc ... fuzz_json.c fuzz_replay_main.c ... && ./replay corpus/json
 * Prints how many it ran; exit status 1 where one cannot be read or there is none. */
#include "tool/tool_file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    uint8_t *data = NULL;
    size_t size = 0;
    char err[300];
    if (sl_tool_read(path, &data, &size, err, sizeof err) != 0) {
        (void)fprintf(stderr, "%s\n", err);
        return -1;
    }
    /* A block of exactly this size, so that a sanitizer sees the first byte too many. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact != NULL) {
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(data);
    return exact != NULL ? 1 : -1;
}

static int replay(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return replay_file(path);
    int ran = 0;
    for (struct dirent *entry; ran >= 0 && (entry = readdir(folder)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        int one = length < 0 || (size_t)length >= sizeof name ? -1 : replay_file(name);
        ran = one < 0 ? -1 : ran + one;
    }
    (void)closedir(folder);
    return ran;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int ran = replay(argv[i]);
        if (ran < 0)
            return 1;
        total += ran;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
