#include "ct.h"

#include "tool/tool_counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int counts(const char *text, enum sl_counts_steps how, struct sl_counts *c, char *err)
{
    return sl_counts_parse((const uint8_t *)text, strlen(text), how, c, err, 200);
}

static int placement(const char *text, int32_t experts, struct sl_placement *p, char *err)
{
    return sl_placement_parse((const uint8_t *)text, strlen(text), experts, p, err, 200);
}

static void refuse_counts(const char *text, const char *why)
{
    struct sl_counts c;
    char err[200] = "";
    ct_note("%s", text);
    ct_expect_eq_i64(counts(text, SL_COUNTS_SUM, &c, err), -1);
    ct_expect_str_has(err, why);
}

static void refuse_placement(const char *text, int32_t experts, const char *why)
{
    struct sl_placement p;
    char err[200] = "";
    ct_note("%s", text);
    ct_expect_eq_i64(placement(text, experts, &p, err), -1);
    ct_expect_str_has(err, why);
}

CT(tool_counts, layers, "[layers][E] is read, floats that are whole too")
{
    struct sl_counts c;
    char err[200] = "";
    ct_eq_i64(
        counts("{\"x\": 1, \"logical_count\": [[4.0, 0, 7], [1, 2, 3]]}", SL_COUNTS_SUM, &c, err),
        0);
    ct_expect_eq_i64(c.steps, 1);
    ct_expect_eq_i64(c.layers, 2);
    ct_expect_eq_i64(c.experts, 3);
    ct_expect_eq_mem(c.count, ((int64_t[]){4, 0, 7, 1, 2, 3}), 6 * sizeof(int64_t));
    sl_counts_free(&c);
}

CT(tool_counts, steps, "[steps][layers][E] is summed or kept")
{
    static const char text[] = "{\"logical_count\": [[[1, 2], [3, 4]], [[10, 20], [30, 40]]]}";
    struct sl_counts c;
    char err[200] = "";
    ct_eq_i64(counts(text, SL_COUNTS_SUM, &c, err), 0);
    ct_expect_eq_i64(c.steps, 1);
    ct_expect_eq_mem(c.count, ((int64_t[]){11, 22, 33, 44}), 4 * sizeof(int64_t));
    sl_counts_free(&c);
    ct_eq_i64(counts(text, SL_COUNTS_KEEP, &c, err), 0);
    ct_expect_eq_i64(c.steps, 2);
    ct_expect_eq_mem(sl_counts_row(&c, 1, 0), ((int64_t[]){10, 20}), 2 * sizeof(int64_t));
    sl_counts_free(&c);
}

CT(tool_counts, refuses, "bad counts are refused with step, layer and expert")
{
    refuse_counts("[1]", "no \"logical_count\" in it");
    refuse_counts("{\"physical_to_logical_map\": [[0]]}", "it has \"physical_to_logical_map\"");
    refuse_counts("{\"logical_count\": []}", "not a filled array of arrays");
    refuse_counts("{\"logical_count\": [[]]}", "not a filled array of arrays");
    refuse_counts("{\"logical_count\": [1]}", "not a filled array of arrays");
    refuse_counts("{\"logical_count\": [[[]]]}", "step 0, layer 0: no experts");
    refuse_counts("{\"logical_count\": [[1, 2], [3]]}", "layer 1: 1 elements; 2 were expected");
    refuse_counts("{\"logical_count\": [[1, 2], 3]}", "layer 1: number; an array was expected");
    refuse_counts("{\"logical_count\": [[1, 2.5]]}", "layer 0, expert 1: 2.5; a whole number");
    refuse_counts("{\"logical_count\": [[1, -2]]}", "layer 0, expert 1: -2 tokens");
    refuse_counts("{\"logical_count\": [[1, null]]}", "layer 0, expert 1: null; a number");
    refuse_counts("{\"logical_count\": [[[1]], [[1], [2]]]}", "step 1: an array of 1 layers");
    refuse_counts("{\"logical_count\": [[[1, 2]], [[1, []]]]}", "step 1, layer 0, expert 1: array");
    refuse_counts("{\"logical_count\": [[[9223372036854775807]], [[1]]]}", "beyond 64 bits");
    refuse_counts("{\"logical_count\": [[1, 2, 3, 4, 5, 6, 7, 8], [1], [1], [1]]}",
                  "not so many numbers");
    refuse_counts("{\"logical_count\": [[1]", "line 1");
}

CT(tool_counts, placement_read, "a placement is read, empty slots too; E is inferred or given")
{
    static const char text[] = "{\"physical_to_logical_map\": [[0, 1, 2, 1], [2, 0, 1, -1]]}";
    struct sl_placement p;
    char err[200] = "";
    for (int32_t experts = 0; experts <= 3; experts += 3) {
        ct_eq_i64(placement(text, experts, &p, err), 0);
        ct_expect_eq_i64(p.layers, 2);
        ct_expect_eq_i64(p.slots, 4);
        ct_expect_eq_i64(p.experts, 3);
        ct_expect_eq_mem(p.expert, ((int32_t[]){0, 1, 2, 1, 2, 0, 1, -1}), 8 * sizeof(int32_t));
        sl_placement_free(&p);
    }
}

CT(tool_counts, placement_refuses, "bad placements are refused with layer and slot")
{
    refuse_placement("{\"physical_to_logical_map\": [[0, 1], [1, 2]]}", 2,
                     "layer 1, slot 1: expert 2; -1 to 1 was expected");
    refuse_placement("{\"physical_to_logical_map\": [[0, -2]]}", 0, "layer 0, slot 1: expert -2");
    refuse_placement("{\"physical_to_logical_map\": [[0, 0.5]]}", 0, "layer 0, slot 1: no whole");
    refuse_placement("{\"physical_to_logical_map\": [[0, [1]]]}", 0, "layer 0, slot 1: no whole");
    refuse_placement("{\"physical_to_logical_map\": [[0, 1, 2], [0, 1, 1]]}", 0,
                     "layer 1: expert 2 is in no slot");
    refuse_placement("{\"physical_to_logical_map\": [[0, 1]]}", 3, "3 experts, but 2 slots");
    refuse_placement("{\"physical_to_logical_map\": [[-1]]}", 0, "all slots are empty");
    refuse_placement("{\"physical_to_logical_map\": [[0, 1], [0]]}", 2,
                     "layer 1: 1 elements; 2 were expected");
    refuse_placement("{\"logical_count\": [[0]]}", 0, "it has \"logical_count\"");
}

CT(tool_counts, round_trip, "what is written is read back the same")
{
    int64_t count[12];
    int32_t expert[6] = {0, 1, 2, 2, 1, 0};
    for (int i = 0; i < 12; i++)
        count[i] = (int64_t)i << 50;
    char path[] = "/tmp/tool_counts_XXXXXX", err[200] = "";
    int fd = mkstemp(path);
    ct_true(fd >= 0);
    close(fd);
    for (int32_t steps = 1; steps <= 2; steps++) {
        struct sl_counts c = {steps, 2, 6 / 2, count}, back = {0};
        ct_expect_eq_i64(sl_counts_save(path, &c, err, sizeof err), 0);
        ct_expect_eq_i64(sl_counts_load(path, SL_COUNTS_KEEP, &back, err, sizeof err), 0);
        ct_expect_str_eq(err, "");
        ct_expect_eq_i64(back.steps, steps);
        if (!ct_failed())
            ct_expect_eq_mem(back.count, count, (size_t)steps * 6 * sizeof *count);
        sl_counts_free(&back);
    }
    struct sl_placement p = {2, 3, 3, expert}, back = {0};
    ct_expect_eq_i64(sl_placement_save(path, &p, err, sizeof err), 0);
    ct_expect_eq_i64(sl_placement_load(path, 3, &back, err, sizeof err), 0);
    if (!ct_failed())
        ct_expect_eq_mem(back.expert, expert, sizeof expert);
    sl_placement_free(&back);
    unlink(path);
}

CT(tool_counts, full_disk, "a write that does not arrive is an error")
{
    int64_t count = 1;
    struct sl_counts c = {1, 1, 1, &count};
    char err[200] = "";
    if (access("/dev/full", W_OK) != 0)
        ct_skip("no /dev/full");
    ct_eq_i64(sl_counts_save("/dev/full", &c, err, sizeof err), -1);
    ct_str_has(err, "/dev/full: not everything could be written");
    ct_eq_i64(sl_counts_save("/nonexistent/c.json", &c, err, sizeof err), -1);
    ct_str_has(err, "/nonexistent/c.json: ");
}

CT(tool_counts, ids, "recorded choices are counted, -1 left out; bad ones are refused")
{
    const int32_t ids[] = {0, 2, 2, -1, 1, 1, 1, 0};
    struct sl_npy npy = {.type = SL_NPY_I32,
                         .ndim = 3,
                         .shape = {2, 2, 2},
                         .count = 8,
                         .data = (const uint8_t *)ids};
    static const int64_t want[] = {1, 0, 2, 1, 3, 0};
    struct sl_counts counts;
    char err[200] = "";
    ct_eq_i64(sl_counts_of_ids(&npy, &counts, err, sizeof err), 0);
    ct_eq_i64(counts.layers, 2);
    ct_eq_i64(counts.experts, 3);
    ct_true(memcmp(counts.count, want, sizeof want) == 0);
    sl_counts_free(&counts);
    const int32_t bad[] = {0, 2, 2, -2, 1, 1, 1, 0};
    npy.data = (const uint8_t *)bad;
    ct_eq_i64(sl_counts_of_ids(&npy, &counts, err, sizeof err), -1);
    ct_str_has(err, "element 3 is -2");
    npy.ndim = 2;
    ct_eq_i64(sl_counts_of_ids(&npy, &counts, err, sizeof err), -1);
    ct_str_has(err, "2 dimensions");
}

CT(tool_counts, real_files, "DeepSeek-R1's counts are read: 61 layers, the first three empty")
{
    static const char *const files[] = {"decode_in2000out100", "decode_in500out1500",
                                        "prefill_in4096", "prefill_in512"};
    for (int i = 0; i < 4; i++) {
        struct sl_counts c;
        char name[128], err[200] = "";
        snprintf(name, sizeof name, "data/deepseek-r1-expert-counts/%s.json", files[i]);
        const char *path = ct_shared(name);
        if (path == NULL)
            ct_skip("no DeepSeek-R1 counts under shared/data");
        int rc = sl_counts_load(path, SL_COUNTS_SUM, &c, err, sizeof err);
        ct_str_eq(err, "");
        ct_eq_i64(rc, 0);
        ct_expect_eq_i64(c.layers, 61);
        ct_expect_eq_i64(c.experts, 256);
        int64_t sum[4] = {0};
        for (int layer = 0; layer < 4 && !ct_failed(); layer++)
            for (int e = 0; e < 256; e++)
                sum[layer] += sl_counts_row(&c, 0, layer)[e];
        sl_counts_free(&c);
        ct_eq_i64(sum[0] + sum[1] + sum[2], 0);
        /* Eight choices a token. */
        ct_true(sum[3] > 0 && sum[3] % 8 == 0);
    }
}
