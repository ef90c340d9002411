/* A status for people. */
#ifndef SL_TOOL_STATUS_H
#define SL_TOOL_STATUS_H

#include "../../plugin.h"

/* The text that came with a status, or where there is none the status's name: "UNAVAILABLE". */
const char *sl_status_text(const char *text, sluice_status status);

#endif
