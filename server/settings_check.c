/* settings_check.c - mistakes that show only when the values are tried, or put beside each other.
 */
#include "settings.h"
#include "reach.h"
#include "stream.h"
#include "text.h"

#include <arpa/inet.h>
#include <string.h>

static void check_default_server(const char *name, const struct mail_server *server,
                                 const struct reach *reach, struct mistakes *mistakes)
{
    struct fault fault = {0};
    if (server->host && reach_check_host(reach, server->host, server->port, &fault) != OK)
        mistakes_add(mistakes, "%s: %s; name it in allowed_hosts", name, fault.detail);
}

static void check_hosts(const struct settings *settings, struct mistakes *mistakes)
{
    struct fault fault = {0};
    struct reach *reach = NULL;
    if (reach_new(settings->allowed_hosts, &fault, &reach) != OK) {
        mistakes_add(mistakes, "allowed_hosts: %s", fault.detail);
        return;
    }
    check_default_server("default_imap", &settings->default_imap, reach, mistakes);
    check_default_server("default_pop3", &settings->default_pop3, reach, mistakes);
    reach_free(&reach);
}

static void check_trust(const struct settings *settings, struct mistakes *mistakes)
{
    struct fault fault = {0};
    struct tls_trust *trust = NULL;
    if (!*settings->ca_file)
        return;
    if (tls_trust_new(settings->ca_file, &fault, &trust) != OK)
        mistakes_add(mistakes, "ca_file: %s", fault.detail);
    else
        tls_trust_free(&trust);
}

static bool host_is_listenable(const char *host, size_t length)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;
    if (length == 1 && *host == '*')
        return true;
    bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed) {
        host++;
        length -= 2;
    }
    if (length >= sizeof text)
        return false;
    memcpy(text, host, length);
    text[length] = '\0';
    if (bracketed)
        return inet_pton(AF_INET6, text, &v6) == 1;
    return strcmp(text, "localhost") == 0 || inet_pton(AF_INET, text, &v4) == 1;
}

static void check_listen(const struct settings *settings, struct mistakes *mistakes)
{
    const char *listen = settings->listen, *colon = strrchr(listen, ':');
    uint64_t port;
    if (strncmp(listen, "unix:", 5) == 0) {
        if (listen[5] != '/' || strlen(listen + 5) > 107) /* sockaddr_un */
            mistakes_add(mistakes, "listen: unix: wants an absolute path of at most 107 bytes");
        return;
    }
    if (!colon || !text_to_u64(colon + 1, strlen(colon + 1), 65535, &port) ||
        !host_is_listenable(listen, (size_t)(colon - listen)))
        mistakes_add(
            mistakes,
            "listen: \"%.100s\" is not like 127.0.0.1:8025, [::1]:8025, *:8025 or unix:/path",
            listen);
}

static void check_counts(const struct settings *settings, struct mistakes *mistakes)
{
    if (settings->account_connections_max < 2)
        return; /* already named */
    if (settings->host_connections_max < settings->account_connections_max)
        mistakes_add(mistakes, "host_connections_max: is less than account_connections_max");
    if (settings->mail_literal_bytes_max > settings->mail_command_bytes_max)
        mistakes_add(mistakes, "mail_literal_bytes_max: is more than mail_command_bytes_max");
    if (settings->mail_literal_bytes_max > settings->mail_answer_bytes_max)
        mistakes_add(mistakes, "mail_literal_bytes_max: is more than mail_answer_bytes_max");
    if (settings->workers > 0 && settings->message_memory_max > settings->worker_memory_max / 2)
        mistakes_add(mistakes, "message_memory_max: is more than half of worker_memory_max");
}

void settings_check(const struct settings *settings, struct mistakes *mistakes)
{
    check_listen(settings, mistakes);
    check_hosts(settings, mistakes);
    check_trust(settings, mistakes);
    check_counts(settings, mistakes);
}
