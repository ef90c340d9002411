/* Serves no major that this engine asks for. */
#include "plugin.h"

__attribute__((visibility("default"))) const sluice_api *sluice_plugin_get(uint32_t major)
{
    (void)major;
    return NULL;
}
