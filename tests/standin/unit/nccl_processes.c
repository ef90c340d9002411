/* SPDX-License-Identifier: Apache-2.0 */
/* Teams of processes. Each is a program of its own, as the driver is of no use after a fork. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nccl_team.h"

#define LIMIT_MS 60000

extern char **environ;

struct child {
    pid_t pid;
    int out;
};

static bool spawn(struct child *child, const char *body, int rank, int nranks, const char *id)
{
    char path[300], mine[16], all[16];
    const char *folder = getenv("STANDIN_BUILD");
    int ends[2];
    (void)snprintf(path, sizeof path, "%s/nccl_rank", folder ? folder : "build/standin");
    (void)snprintf(mine, sizeof mine, "%d", rank);
    (void)snprintf(all, sizeof all, "%d", nranks);
    char words[2][128];
    (void)snprintf(words[0], sizeof words[0], "%s", body);
    (void)snprintf(words[1], sizeof words[1], "%s", id);
    char *args[] = {path, words[0], mine, all, words[1], NULL};
    posix_spawn_file_actions_t actions;
    if (pipe(ends) != 0)
        return false;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    int error = posix_spawn(&child->pid, path, &actions, NULL, args, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    child->out = ends[0];
    return error == 0;
}

/* All that the child says until it ends, and how it ended where that was not by itself. */
static void collect(struct child *child, int rank, char *text)
{
    size_t at = 0;
    struct pollfd ready = {child->out, POLLIN, 0};
    for (;;) {
        int rc = poll(&ready, 1, LIMIT_MS);
        if (rc == 0)
            (void)kill(child->pid, SIGKILL);
        ssize_t got = rc > 0 ? read(child->out, text + at, TEAM_TEXT - 1 - at) : 0;
        if (got <= 0 && !(rc < 0 && errno == EINTR))
            break;
        at += got > 0 ? (size_t)got : 0;
    }
    text[at] = '\0';
    (void)close(child->out);
    int status = 0;
    (void)waitpid(child->pid, &status, 0);
    if (!at && status)
        (void)snprintf(text, TEAM_TEXT, "rank %d ended with status %x", rank, (unsigned)status);
}

const char *team_processes(const char *body, int nranks)
{
    static char texts[TEAM_MOST][TEAM_TEXT];
    struct child children[TEAM_MOST];
    ncclUniqueId id;
    const struct team_functions *f = team_functions();
    if (!f || f->ncclGetUniqueId(&id))
        return "no functions, or no id";
    for (int r = 0; r < nranks; r++)
        if (!spawn(&children[r], body, r, nranks, id.internal))
            return "a process does not start";
    const char *words = "";
    for (int r = 0; r < nranks; r++) {
        collect(&children[r], r, texts[r]);
        /* One that failed says why; those that waited for it are killed. */
        bool better = !words[0] || strstr(words, "ended with");
        words = texts[r][0] && better ? texts[r] : words;
    }
    return words;
}
