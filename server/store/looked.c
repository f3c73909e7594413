/* looked.c - when each folder was last found as the mirror has it, kept in memory.
 *
 * A look that finds nothing happens at every list; writing its time to disk would cost more than
 * the look. What is lost with the process only makes an answer seem older than it is. A folder that
 * was forgotten meanwhile has another generation, so nothing is said of it that was true of the
 * old. */
#include "inside.h"

struct looked {
    int64_t folder;
    uint64_t generation;
    int64_t at_ms;
    UT_hash_handle hh;
};

void looked_note(struct mirror *mirror, int64_t folder, uint64_t generation)
{
    struct looked *looked;
    pthread_mutex_lock(&mirror->pool_lock);
    HASH_FIND(hh, mirror->looked, &folder, sizeof folder, looked);
    if (!looked) {
        looked = xalloc(sizeof *looked);
        looked->folder = folder;
        HASH_ADD(hh, mirror->looked, folder, sizeof folder, looked);
    }
    looked->generation = generation;
    looked->at_ms = clock_unix_ms();
    pthread_mutex_unlock(&mirror->pool_lock);
}

void looked_show(struct mirror *mirror, struct folder_row *row)
{
    struct looked *looked;
    pthread_mutex_lock(&mirror->pool_lock);
    HASH_FIND(hh, mirror->looked, &row->number, sizeof row->number, looked);
    if (looked && looked->generation == row->generation && looked->at_ms > row->synced_ms)
        row->synced_ms = looked->at_ms;
    pthread_mutex_unlock(&mirror->pool_lock);
}

void looked_forget(struct mirror *mirror)
{
    struct looked *looked, *next;
    HASH_ITER (hh, mirror->looked, looked, next) {
        HASH_DEL(mirror->looked, looked);
        free(looked);
    }
}
