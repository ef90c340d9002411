/* Tensors on the device of a plugin that does not work on the host's memory. */
#ifndef SL_REPLAY_MIRROR_H
#define SL_REPLAY_MIRROR_H

#include <stdbool.h>

#include "../../abi/ext/device.h"

enum { SL_MIRROR_MOST = 16 };

struct sl_mirror_part {
    void *there;
    size_t room, bytes;
    void *host; /* NULL: what is there is not wanted back */
};

/* The tensors of the calls between two `home`. */
struct sl_mirror {
    const sluice_device_api *memory; /* NULL: the plugin takes the host's memory */
    sluice_device device;
    struct sl_mirror_part parts[SL_MIRROR_MOST];
    int32_t used;
    sluice_status status; /* of the first failure */
};

/* For rank `number`: devices are dealt out in turn. Where there is none text [n] says why. */
sluice_status sl_mirror_open(struct sl_mirror *mirror, const sluice_api *api, int32_t number,
                             char *text, size_t n);

/* Puts a dense host tensor's contents on the device and lets it point there. `out`: `home` brings
 * them back. */
void sl_mirror_put(struct sl_mirror *mirror, sluice_tensor *tensor, bool out);

/* Waits, and copies what was put as `out` to where it was. Gives the first failure since the last
 * call. */
sluice_status sl_mirror_home(struct sl_mirror *mirror);

void sl_mirror_close(struct sl_mirror *mirror);

/* Opens the stand-ins for the CUDA driver and NCCL in the folder standin beside this program, so
 * that a plugin that asks for these libraries gets them. -1 with a line in err. */
int sl_replay_standin(char *err, size_t n);

#endif
