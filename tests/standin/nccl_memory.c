/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and its registration, which changes nothing here but is checked. */
#include <stdlib.h>
#include <string.h>

#include "nccl_comm.h"
#include "nccl_driver.h"

struct registration {
    ncclComm_t comm;
    struct registration *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration *registrations;

ncclResult_t ncclMemAlloc(void **out, size_t bytes)
{
    uint64_t address = 0;
    if (!out || !bytes)
        return nccl_error(ncclInvalidArgument, "ncclMemAlloc of %zu bytes", bytes);
    int error = driver() ? driver()->cuMemAlloc_v2(&address, bytes) : -1;
    memcpy(out, &address, sizeof *out);
    return error ? nccl_error(ncclUnhandledCudaError, "no memory: %d", error) : ncclSuccess;
}

ncclResult_t ncclMemFree(void *at)
{
    int error = at && driver() ? driver()->cuMemFree_v2((uint64_t)(uintptr_t)at) : 0;
    return error ? nccl_error(ncclUnhandledCudaError, "memory is not freed: %d", error)
                 : ncclSuccess;
}

ncclResult_t ncclCommRegister(const ncclComm_t comm, void *at, size_t bytes, void **handle)
{
    uint8_t *data, *init;
    ncclResult_t result = comm_ready(comm);
    if (result)
        return result;
    if (!at || !bytes || !handle)
        return nccl_error(ncclInvalidArgument, "ncclCommRegister of %zu bytes", bytes);
    if (driver()->standin_memory((uint64_t)(uintptr_t)at, bytes, comm->device, "registration",
                                 &data, &init))
        return nccl_error(ncclInvalidUsage, "ncclCommRegister of memory that is not there");
    struct registration *made = calloc(1, sizeof *made);
    if (!made)
        return nccl_error(ncclSystemError, "out of memory");
    made->comm = comm;
    (void)pthread_mutex_lock(&lock);
    made->next = registrations;
    registrations = made;
    (void)pthread_mutex_unlock(&lock);
    *handle = made;
    return ncclSuccess;
}

/* Takes out the registration of that address, or, with NULL, any of the communicator. */
static bool forget(const void *handle, const struct ncclComm *comm)
{
    (void)pthread_mutex_lock(&lock);
    struct registration **at = &registrations;
    while (*at && ((*at)->comm != comm || (handle && *at != handle)))
        at = &(*at)->next;
    struct registration *found = *at;
    if (found)
        *at = found->next;
    (void)pthread_mutex_unlock(&lock);
    free(found);
    return found != NULL;
}

ncclResult_t ncclCommDeregister(const ncclComm_t comm, void *handle)
{
    ncclResult_t result = comm_ready(comm);
    if (result || (handle && forget(handle, comm)))
        return result;
    return nccl_error(ncclInvalidArgument, "ncclCommDeregister of what is not registered");
}

void comm_deregister_all(ncclComm_t comm)
{
    while (forget(NULL, comm)) {
    }
}
