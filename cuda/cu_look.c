/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_look.h"

#include <time.h>

#include "cu_mover.h"

bool slc_look_open(sluice_context *context, slcu_result *error)
{
    struct slc_look *look = &slc_of(context)->mover->look;
    if (context->ranks == 1)
        return true;
    if (pthread_mutex_init(&look->lock, NULL) != 0)
        return false;
    look->made = true;
    *error = slc_of(context)->gpu.driver->StreamCreate(&look->stream, SLCU_STREAM_NON_BLOCKING);
    if (*error)
        look->stream = NULL;
    return !*error;
}

void slc_look_close(sluice_context *context)
{
    struct slc_look *look = &slc_of(context)->mover->look;
    if (look->stream)
        (void)slc_of(context)->gpu.driver->StreamDestroy(look->stream);
    if (look->made)
        pthread_mutex_destroy(&look->lock);
    look->stream = NULL;
    look->made = false;
}

/* In the order of the stream of looks: it waits for nothing else. */
static slcu_result fetch(const struct slcu_driver *driver, const struct slc_look *look,
                         const char *at)
{
    const struct timespec moment = {.tv_nsec = 100000};
    slcu_result error =
        driver->MemcpyDtoHAsync(look->head, slc_address(at), sizeof *look->head, look->stream);
    if (!error)
        error = driver->StreamQuery(look->stream);
    for (int32_t tries = 0; error == SLCU_NOT_READY && tries < 10000; tries++) {
        (void)nanosleep(&moment, NULL);
        error = driver->StreamQuery(look->stream);
    }
    return error;
}

bool slc_look_at(const sluice_context *context, const char *at, struct slc_head *head)
{
    struct slc_look *look = &slc_of(context)->mover->look;
    pthread_mutex_lock(&look->lock);
    slcu_result error = fetch(slc_of(context)->gpu.driver, look, at);
    *head = *look->head;
    pthread_mutex_unlock(&look->lock);
    return !error;
}
