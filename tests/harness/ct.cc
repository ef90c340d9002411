// Hands the C tests that CT() left in the section ct_cases to GoogleTest, and ends each run with
// the line that tests/run.sh adds up.
#include "ct.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

extern "C" {
extern const struct ct_case *const __start_ct_cases[] __attribute__((weak));
extern const struct ct_case *const __stop_ct_cases[] __attribute__((weak));
}

namespace
{

const unsigned kDeadlineSeconds = 120;

// What a signal handler prints: which test was running.
char running[256];

class CTest : public testing::Test
{
  public:
    explicit CTest(const ct_case *c) : case_(c)
    {
    }
    void TestBody() override
    {
        case_->run();
    }
    void TearDown() override
    {
        ct_end_of_test();
    }

  private:
    const ct_case *case_;
};

class Watch : public testing::EmptyTestEventListener
{
    void OnTestStart(const testing::TestInfo &info) override
    {
        snprintf(running, sizeof running, "%s.%s", info.test_suite_name(), info.name());
        alarm(kDeadlineSeconds);
    }
    void OnTestEnd(const testing::TestInfo &) override
    {
        alarm(0);
    }
    void OnTestProgramEnd(const testing::UnitTest &unit) override
    {
        fflush(stderr);
        int failed = unit.failed_test_count();
        if (!failed && unit.Failed())
            failed = 1; // a failure outside of every test
        printf("%d passed, %d failed", unit.successful_test_count(), failed);
        if (unit.skipped_test_count())
            printf(", %d skipped", unit.skipped_test_count());
        printf("\n");
        fflush(stdout);
    }
};

void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

void on_deadline(int)
{
    say("deadline: a test has run for two minutes: ");
    say(running);
    say("\n");
    _exit(3);
}

void on_crash(int sig)
{
    say("crash in test ");
    say(running);
    say("\n");
    raise(sig); // SA_RESETHAND: now the default
}

// A sanitizer's own handler says more than ours: leave it.
void watch_crashes()
{
    for (int sig : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
        struct sigaction old, act;
        memset(&act, 0, sizeof act);
        act.sa_handler = on_crash;
        act.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
        if (sigaction(sig, nullptr, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
            old.sa_handler == SIG_DFL)
            sigaction(sig, &act, nullptr);
    }
    signal(SIGALRM, on_deadline);
}

void record(testing::TestPartResult::Type type, const char *file, int line, const char *text)
{
    testing::internal::AssertHelper(type, file, line, "") = testing::Message() << text;
}

} // namespace

extern "C" void ct_record(const char *file, int line, const char *text)
{
    record(testing::TestPartResult::kNonFatalFailure, file, line, text);
}

extern "C" void ct_record_skip(const char *file, int line, const char *why)
{
    record(testing::TestPartResult::kSkip, file, line, why);
}

extern "C" bool ct_failed(void)
{
    return testing::Test::HasFailure();
}

int main(int argc, char **argv)
{
    testing::GTEST_FLAG(brief) = true;
    testing::InitGoogleTest(&argc, argv);
    for (const ct_case *const *at = __start_ct_cases; at != __stop_ct_cases; at++) {
        const ct_case *c = *at;
        testing::RegisterTest(c->suite, c->name, nullptr, c->title, c->file, c->line,
                              [c]() -> testing::Test * { return new CTest(c); });
    }
    watch_crashes();
    testing::UnitTest::GetInstance()->listeners().Append(new Watch);
    return RUN_ALL_TESTS();
}
