/* SPDX-License-Identifier: Apache-2.0
 * One case in a process of its own: started with pipes for its verdict and for what the plugin
 * writes, watched until it ends or its time is up. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conform.h"

static int report_fd = -1;
static atomic_flag reported = ATOMIC_FLAG_INIT;

_Noreturn static void leave(char verdict, const char *text)
{
    if (atomic_flag_test_and_set(&reported))
        for (;;)
            pause(); /* another thread is leaving */
    char line[600];
    int length = snprintf(line, sizeof line, "%c%s", verdict, text);
    if (length > (int)sizeof line - 1)
        length = (int)sizeof line - 1;
    ssize_t written = write(report_fd, line, (size_t)length);
    _exit(written == length ? 0 : 3);
}

void cf_fail(const char *file, int line, const char *format, ...)
{
    char text[500], whole[600];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    const char *slash = strrchr(file, '/');
    (void)snprintf(whole, sizeof whole, "%s (%s:%d)", text, slash ? slash + 1 : file, line);
    leave('F', whole);
}

void cf_skip(const char *format, ...)
{
    char text[500];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    leave('S', text);
}

struct pipes {
    int report[2], out[2], err[2];
};

_Noreturn static void child(const struct cf_case *item, const char *plugin, double seconds,
                            struct pipes *pipes)
{
    setpgid(0, 0);
    alarm((unsigned)seconds + 5); /* ends it even where the suite itself was killed */
    report_fd = pipes->report[1];
    (void)dup2(pipes->out[1], 1);
    (void)dup2(pipes->err[1], 2);
    cf_load(plugin);
    item->run(item->what);
    (void)fflush(stdout);
    leave('P', "");
}

struct text {
    char data[600];
    size_t length;
};

/* Reads what is there; false at the end of the stream. */
static bool drain(int fd, struct text *text)
{
    char buffer[1024];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN);
    size_t room = sizeof text->data - 1 - text->length;
    size_t take = (size_t)got < room ? (size_t)got : room;
    memcpy(text->data + text->length, buffer, take);
    text->length += take;
    text->data[text->length] = 0;
    return true;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* True when all three streams have ended in time. */
static bool watch(const struct pipes *pipes, double until, struct text texts[3])
{
    struct pollfd polls[3] = {{.fd = pipes->report[0], .events = POLLIN},
                              {.fd = pipes->out[0], .events = POLLIN},
                              {.fd = pipes->err[0], .events = POLLIN}};
    int open = 3;
    while (open > 0) {
        double left = until - now();
        if (left <= 0)
            return false;
        if (poll(polls, 3, (int)(left * 1000) + 1) < 0 && errno != EINTR)
            return false;
        for (int i = 0; i < 3; i++)
            if (polls[i].fd >= 0 && polls[i].revents && !drain(polls[i].fd, &texts[i])) {
                polls[i].fd = -1;
                open--;
            }
    }
    return true;
}

static void one_line(char *text)
{
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
}

static void judge(int status, bool in_time, double seconds, const struct text texts[3],
                  struct cf_result *result)
{
    const char *said = texts[0].data;
    result->verdict = CF_FAILED;
    if (!in_time)
        (void)snprintf(result->reason, sizeof result->reason, "no end after %.0f s", seconds);
    else if (said[0] == 'F')
        (void)snprintf(result->reason, sizeof result->reason, "%s", said + 1);
    else if (WIFSIGNALED(status))
        (void)snprintf(result->reason, sizeof result->reason, "killed by signal %d, %s %.200s",
                       WTERMSIG(status), strsignal(WTERMSIG(status)), texts[2].data);
    else if (said[0] != 'P' && said[0] != 'S')
        (void)snprintf(result->reason, sizeof result->reason,
                       "the process ended with exit code %d %.200s", WEXITSTATUS(status),
                       texts[2].data);
    else if (texts[1].length)
        (void)snprintf(result->reason, sizeof result->reason,
                       "the plugin wrote to standard output: %.200s", texts[1].data);
    else {
        result->verdict = said[0] == 'P' ? CF_PASS : CF_SKIPPED;
        (void)snprintf(result->reason, sizeof result->reason, "%s", said + 1);
    }
    one_line(result->reason);
}

void cf_run_case(const struct cf_case *item, const char *plugin, double seconds,
                 struct cf_result *result)
{
    struct pipes pipes;
    memset(result, 0, sizeof *result);
    result->verdict = CF_FAILED;
    if (pipe(pipes.report) || pipe(pipes.out) || pipe(pipes.err)) {
        (void)snprintf(result->reason, sizeof result->reason, "no pipes for a case");
        return;
    }
    double begin = now();
    pid_t pid = fork();
    if (pid == 0)
        child(item, plugin, seconds, &pipes);
    close(pipes.report[1]);
    close(pipes.out[1]);
    close(pipes.err[1]);
    struct text texts[3] = {{.length = 0}};
    int status = 0;
    if (pid > 0) {
        bool in_time = watch(&pipes, begin + seconds, texts);
        if (!in_time) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        judge(status, in_time, seconds, texts, result);
    } else {
        (void)snprintf(result->reason, sizeof result->reason, "no process for a case");
    }
    close(pipes.report[0]);
    close(pipes.out[0]);
    close(pipes.err[0]);
    result->seconds = now() - begin;
}
