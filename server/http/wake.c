/* wake.c - a bell that resumes a suspended connection, safe to ring too early, twice, or too late.
 *
 * Wakes are recycled and never freed, so a ring that comes after its exchange is gone meets a wake
 * without a connection, or one of somebody else, who then looks once for nothing.
 */
#include "door.h"

struct wake {
    pthread_mutex_t lock;
    struct MHD_Connection *connection; /* NULL while on the shelf */
    bool rung, waiting;
    struct wake *next;
};

static pthread_mutex_t shelf_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wake *shelf;

struct wake *wake_take(struct MHD_Connection *connection)
{
    pthread_mutex_lock(&shelf_lock);
    struct wake *wake = shelf;
    if (wake)
        shelf = wake->next;
    pthread_mutex_unlock(&shelf_lock);
    if (!wake) {
        wake = xalloc(sizeof *wake);
        pthread_mutex_init(&wake->lock, NULL);
    }
    pthread_mutex_lock(&wake->lock);
    wake->connection = connection;
    wake->rung = wake->waiting = false;
    pthread_mutex_unlock(&wake->lock);
    return wake;
}

void wake_give(struct wake *wake)
{
    pthread_mutex_lock(&wake->lock);
    wake->connection = NULL;
    wake->waiting = false;
    pthread_mutex_unlock(&wake->lock);
    pthread_mutex_lock(&shelf_lock);
    wake->next = shelf;
    shelf = wake;
    pthread_mutex_unlock(&shelf_lock);
}

void wake_reset(struct wake *wake)
{
    pthread_mutex_lock(&wake->lock);
    wake->rung = false;
    pthread_mutex_unlock(&wake->lock);
}

void wake_wait(struct wake *wake)
{
    pthread_mutex_lock(&wake->lock);
    if (wake->rung)
        MHD_resume_connection(wake->connection);
    else
        wake->waiting = true;
    pthread_mutex_unlock(&wake->lock);
}

void wake_ring(void *argument)
{
    struct wake *wake = argument;
    pthread_mutex_lock(&wake->lock);
    wake->rung = true;
    if (wake->waiting)
        MHD_resume_connection(wake->connection);
    wake->waiting = false;
    pthread_mutex_unlock(&wake->lock);
}
