/* What can be asked of a parsed document. */
#include "tool_json.h"

#include <string.h>

size_t sl_json_next(const struct sl_json *json, size_t at)
{
    const struct sl_json_node *node = &json->node[at];
    return node->type < SL_JSON_ARRAY ? at + 1 : (size_t)node->as.end;
}

size_t sl_json_get(const struct sl_json *json, size_t at, const char *key)
{
    const struct sl_json_node *object = &json->node[at];
    if (object->type != SL_JSON_OBJECT)
        return 0;
    size_t length = strlen(key), k = at + 1;
    for (uint32_t i = 0; i < object->count; i++) {
        const struct sl_json_node *name = &json->node[k];
        if (name->count == length && memcmp(json->text + name->as.text, key, length) == 0)
            return k + 1;
        k = sl_json_next(json, k + 1);
    }
    return 0;
}

const char *sl_json_text(const struct sl_json *json, size_t at)
{
    return json->node[at].type == SL_JSON_STRING ? json->text + json->node[at].as.text : "";
}

int sl_json_whole(const struct sl_json *json, size_t at, int64_t *value)
{
    const struct sl_json_node *node = &json->node[at];
    if (node->type == SL_JSON_INT) {
        *value = node->as.integer;
        return 1;
    }
    /* Beyond 2^53 a double no longer says which integer was meant. */
    double real = node->type == SL_JSON_REAL ? node->as.real : 0.5;
    if (real < -0x1p53 || real > 0x1p53 || (double)(int64_t)real != real)
        return 0;
    *value = (int64_t)real;
    return 1;
}

const char *sl_json_type_name(uint32_t type)
{
    static const char *const names[] = {"null",   "false",  "true",  "number",
                                        "number", "string", "array", "object"};
    return names[type];
}
