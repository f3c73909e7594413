/* store.c - the data directory: its lock, its key, and what derives from the key. */
#include "inside.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNT_HASH_BYTES 16

static enum err path_fault(struct fault *fault, const char *path)
{
    return fault_set(fault, ERR_STORE, "%s: %s", path, strerror(errno));
}

static char *path_join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = xalloc(size);
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static enum err directory_make(const char *path, struct fault *fault)
{
    struct stat facts;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return path_fault(fault, path);
    if (stat(path, &facts) != 0)
        return path_fault(fault, path);
    if (!S_ISDIR(facts.st_mode))
        return fault_set(fault, ERR_STORE, "%s is no directory", path);
    return OK;
}

/* The lock is the flock, not the file: a file left by a process that died locks nobody out. */
static enum err lock_take(struct store *store, struct fault *fault)
{
    char *path = path_join(store->data_dir, "lock"), text[32] = "";
    enum err err = OK;
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0) {
        err = path_fault(fault, path);
    } else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = errno == EWOULDBLOCK ? pread(store->lock_fd, text, sizeof text - 1, 0) : -1;
        if (got >= 0)
            text[strcspn(text, "\n")] = '\0';
        err = got < 0 ? path_fault(fault, path)
                      : fault_set(fault, ERR_CONFLICT, "data directory %s is in use by process %s",
                                  store->data_dir, text[0] ? text : "(unknown)");
    } else {
        int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(store->lock_fd, 0) != 0 ||
            pwrite(store->lock_fd, text, (size_t)length, 0) < 0)
            err = path_fault(fault, path);
    }
    free(path);
    return err;
}

static enum err directory_sync(const char *path, struct fault *fault)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err = fd < 0 || fsync(fd) != 0 ? path_fault(fault, path) : OK;
    if (fd >= 0)
        close(fd);
    return err;
}

/* Never half a key: written beside, synced, then named. */
static enum err key_make(struct store *store, const char *path, struct fault *fault)
{
    char *fresh = path_join(store->data_dir, "key.new");
    enum err err = OK;
    crypto_random(store->key.bytes, CRYPTO_KEY_BYTES);
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, store->key.bytes, CRYPTO_KEY_BYTES) != CRYPTO_KEY_BYTES ||
        fsync(fd) != 0)
        err = path_fault(fault, fresh);
    if (fd >= 0)
        close(fd);
    if (!err && rename(fresh, path) != 0)
        err = path_fault(fault, path);
    free(fresh);
    return err ? err : directory_sync(store->data_dir, fault);
}

static enum err key_read(struct store *store, int fd, const char *path, struct fault *fault)
{
    uint8_t bytes[CRYPTO_KEY_BYTES + 1];
    ssize_t length = read(fd, bytes, sizeof bytes);
    if (length < 0)
        return path_fault(fault, path);
    if (length != CRYPTO_KEY_BYTES)
        return fault_set(fault, ERR_STORE,
                         "%s is not a key of %d bytes: put back the right one, or remove it to "
                         "begin with new ids",
                         path, CRYPTO_KEY_BYTES);
    memcpy(store->key.bytes, bytes, CRYPTO_KEY_BYTES);
    explicit_bzero(bytes, sizeof bytes);
    return OK;
}

static enum err key_load(struct store *store, struct fault *fault)
{
    char *path = path_join(store->data_dir, "key");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err err;
    if (fd >= 0) {
        err = key_read(store, fd, path, fault);
        close(fd);
    } else {
        err = errno == ENOENT ? key_make(store, path, fault) : path_fault(fault, path);
    }
    free(path);
    return err;
}

enum err store_open(const struct store_options *options, struct fault *fault, struct store **out)
{
    struct store *store = xalloc(sizeof *store);
    *store = (struct store){
        .data_dir = xstrdup(options->data_dir),
        .mirrors_dir = path_join(options->data_dir, "mirrors"),
        .lock_fd = -1,
        .render = options->render,
        .memory = options->memory,
    };
    pthread_mutex_init(&store->lock, NULL);
    *out = store;
    enum err err = directory_make(store->data_dir, fault);
    if (!err)
        err = lock_take(store, fault);
    if (!err)
        err = key_load(store, fault);
    if (!err && !store->memory)
        err = directory_make(store->mirrors_dir, fault);
    if (err)
        store_close(out);
    return err;
}

void store_close(struct store **store)
{
    struct store *gone = *store;
    if (!gone)
        return;
    struct mirror *mirror, *next;
    HASH_ITER (hh, gone->mirrors, mirror, next) {
        HASH_DEL(gone->mirrors, mirror);
        mirror_free(&mirror);
    }
    if (gone->lock_fd >= 0)
        close(gone->lock_fd);
    pthread_mutex_destroy(&gone->lock);
    explicit_bzero(&gone->key, sizeof gone->key);
    free(gone->data_dir);
    free(gone->mirrors_dir);
    free(gone);
    *store = NULL;
}

void store_key(const struct store *store, const char *label, struct crypto_key *out)
{
    crypto_derive(&store->key, label, out);
}

void store_account_id(const struct store *store, const char *protocol, const char *host,
                      uint16_t port, const char *username, char out[ACCOUNT_ID_BYTES])
{
    _Static_assert(2 + TEXT_BASE64URL_BYTES(ACCOUNT_HASH_BYTES) <= ACCOUNT_ID_BYTES,
                   "an account id fits");
    struct crypto_key key;
    struct buf words;
    uint8_t hash[CRYPTO_HASH_BYTES];
    char *plain_host = xstrdup(host);
    text_lower(plain_host);
    crypto_derive(&store->key, "account ids", &key);
    buf_init(&words, SIZE_MAX / 4);
    /* Each with its NUL: no two quadruples give the same bytes. */
    buf_append(&words, protocol, strlen(protocol) + 1);
    buf_append(&words, plain_host, strlen(plain_host) + 1);
    buf_printf(&words, "%u", port);
    buf_append(&words, "", 1);
    buf_append(&words, username, strlen(username) + 1);
    crypto_hmac(&key, words.data, words.length, hash);
    memcpy(out, "a_", 2);
    text_base64url(hash, ACCOUNT_HASH_BYTES, out + 2);
    buf_clear(&words);
    free(plain_host);
}
