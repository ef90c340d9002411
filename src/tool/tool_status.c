#include "tool_status.h"

const char *sl_status_text(const char *text, sluice_status status)
{
    static const char *const names[] = {"OK",        "INVALID",   "UNSUPPORTED", "UNAVAILABLE",
                                        "NO_MEMORY", "PEER_LOST", "MISMATCH",    "OVERFLOW",
                                        "BUSY",      "STALE",     "FENCED",      "NOT_CAPTURABLE",
                                        "NOT_READY", "CANCELLED", "DEVICE",      "INTERNAL"};
    enum { NAMES = sizeof names / sizeof *names };
    if (text[0])
        return text;
    return status >= 0 && status < NAMES ? names[status] : "a status that ABI 1 has not";
}
