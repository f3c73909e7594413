/* tls_roots.c - what the system trusts, read whole at start.
 *
 * OpenSSL's own way is to look into the directory for one issuer at a time, while a certificate is
 * verified; a worker cannot open files by then. So every file there that OpenSSL could have found
 * is read now: names made of the hash of a subject and a number. A certificate that is in the
 * bundle too counts once. What is put there later is seen after a restart. Without any there is
 * nothing to trust, and every handshake says so.
 */
#include "tls.h"

#include "log.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_DIGITS 8
#define BUNDLE      "ca-certificates.crt" /* where nobody has made the hashed names */

static const char *setting(const char *variable, const char *otherwise)
{
    const char *value = secure_getenv(variable);
    return value ? value : otherwise;
}

static bool holds_any(X509_STORE *store)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(store)) > 0;
}

/* "5443e9e3.0"; CRLs ("5443e9e3.r0") are not asked for. */
static bool is_hashed_name(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");
    return digits == HASH_DIGITS && name[digits] == '.' &&
           isdigit((unsigned char)name[digits + 1]) &&
           name[digits + 1 + strspn(name + digits + 1, "0123456789")] == '\0';
}

static void load_from(X509_STORE *store, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length > 0 && (size_t)length < sizeof path)
        X509_STORE_load_file(store, path);
}

static void load_directory(X509_STORE *store, const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (is_hashed_name(entry->d_name))
            load_from(store, path, entry->d_name);
    closedir(directory);
    if (!holds_any(store))
        load_from(store, path, BUNDLE);
}

/* "one:another" */
static void load_directories(X509_STORE *store, const char *paths)
{
    char path[PATH_MAX];
    for (;;) {
        size_t length = strcspn(paths, ":");
        if (length && length < sizeof path) {
            memcpy(path, paths, length);
            path[length] = '\0';
            load_directory(store, path);
        }
        if (!paths[length])
            return;
        paths += length + 1;
    }
}

void tls_roots_load(X509_STORE *store)
{
    const char *file = setting(X509_get_default_cert_file_env(), X509_get_default_cert_file());
    const char *paths = setting(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    X509_STORE_load_file(store, file);
    load_directories(store, paths);
    ERR_clear_error(); /* a file that is not there is none the worse */
    if (!holds_any(store))
        log_event(LOG_WARN, "no_certificates", LOG_TEXT("file", file), LOG_TEXT("directory", paths),
                  LOG_END);
}
