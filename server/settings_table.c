/* settings_table.c - the rows: every setting, its default and its bounds. */
#include "settings.h"

#include <string.h>

#define AT(member) .offset = offsetof(struct settings, member)
#define SECOND     INT64_C(1000)
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)
#define KIB        INT64_C(1024)
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)

static const char general[] = "General";
static const char servers[] = "Mail servers";
static const char mirrors[] = "Mirror";
static const char sessions[] = "Sessions";
static const char workers[] = "Workers";
static const char upstream[] = "Connections to mail servers";
static const char http[] = "HTTP";
static const char answers[] = "Limits on what a mail server or a mail may send";

/* clang-format off */
const struct setting settings_table[] = {
    {.name = "listen", .type = SETTING_TEXT, .group = general, .default_text = "127.0.0.1:8025",
     .min = 1, .max = 200, AT(listen),
     .help = "Where to listen: `127.0.0.1:8025`, `[::1]:8025`, `*:8025` or `unix:/path`; port 0 takes any free one."},
    {.name = "data_dir", .type = SETTING_TEXT, .group = general, .min = 1, .max = 4000, AT(data_dir),
     .default_note = "`~/.local/state/postern`; `/var/lib/postern` for root", .default_made = settings_default_data_dir,
     .help = "Directory for the key and the mirrors. One process at a time may hold it."},
    {.name = "log_level", .type = SETTING_CHOICE, .group = general, .default_text = "info", AT(log_level),
     .choices = "error|warn|info|debug",
     .help = "Least important lines to log. `debug` may show user names and folder names."},
    {.name = "drain_timeout", .type = SETTING_DURATION, .group = general, .default_text = "15s", AT(drain_timeout_ms),
     .min = 0, .max = HOUR,
     .help = "At SIGTERM: how long running requests may take to finish before they are cancelled."},

    {.name = "default_imap", .type = SETTING_SERVER, .group = servers, .default_text = "", AT(default_imap),
     .protocol = PROTOCOL_IMAP,
     .help = "IMAP server that HTTP Basic signs in to: `tls://mail.example.com:993`, `starttls://host[:port]` or `none://host[:port]`."},
    {.name = "default_pop3", .type = SETTING_SERVER, .group = servers, .default_text = "", AT(default_pop3),
     .protocol = PROTOCOL_POP3,
     .help = "The same for POP3; used when `default_imap` is not set."},
    {.name = "allowed_hosts", .type = SETTING_TEXT, .group = servers, .default_text = "", .max = 64 * KIB, AT(allowed_hosts),
     .help = "Mail hosts allowed besides public addresses on ports 110, 143, 993 and 995: names, `*.names`, addresses or networks, each with an optional `:port`, separated by commas; `*` for all."},
    {.name = "ca_file", .type = SETTING_TEXT, .group = servers, .default_text = "", .max = 4000, AT(ca_file),
     .help = "PEM file with the CAs that mail servers' certificates must lead to; empty: the system's."},

    {.name = "mirror", .type = SETTING_CHOICE, .group = mirrors, .default_text = "disk", .choices = "disk|memory", AT(mirror),
     .help = "Where mirrors of mailboxes live. `memory` leaves no mail data on disk and starts cold."},
    {.name = "mirror_days", .type = SETTING_COUNT, .group = mirrors, .unit = "days", .default_text = "30", AT(mirror_days),
     .min = 0, .max = 3650, .help = "Mirrors that nobody used for so many days are removed; 0: never."},
    {.name = "mirror_idle", .type = SETTING_DURATION, .group = mirrors, .default_text = "1m", AT(mirror_idle_ms),
     .min = SECOND, .max = DAY, .help = "A mirror's database handles are closed when unused for so long."},
    {.name = "first_page", .type = SETTING_COUNT, .group = mirrors, .unit = "messages", .default_text = "100", AT(first_page),
     .min = 1, .max = 5000, .help = "Newest messages fetched when a folder is seen for the first time; the rest is filled in behind."},
    {.name = "backfill_batch", .type = SETTING_COUNT, .group = mirrors, .unit = "messages", .default_text = "500", AT(backfill_batch),
     .min = 1, .max = 10000, .help = "Older messages filled in at a time, between interactive requests."},

    {.name = "sessions_max", .type = SETTING_COUNT, .group = sessions, .unit = "sessions", .default_text = "10000", AT(sessions_max),
     .min = 1, .max = 1000000, .limit = "sessions", .help = "Sessions at a time, those of HTTP Basic included."},
    {.name = "session_idle", .type = SETTING_DURATION, .group = sessions, .default_text = "30m", AT(session_idle_ms),
     .min = SECOND, .max = 24 * DAY, .limit = "sessionIdleSeconds", .help = "A session that nobody used for so long ends."},
    {.name = "worker_threads", .type = SETTING_COUNT, .group = sessions, .unit = "threads", .default_text = "128", AT(worker_threads),
     .min = 2, .max = 4096, .help = "Calls to mail servers under way at a time; threads are made when needed. At most half of them serve one mail host, a quarter those who are still signing in; of that quarter at most half one mail host or one client address."},
    {.name = "queue_max", .type = SETTING_COUNT, .group = sessions, .unit = "requests", .default_text = "100", AT(queue_max),
     .min = 1, .max = 100000, .limit = "queuedRequestsPerAccount", .help = "Requests of one account in one session that may wait; more get 503 `busy`."},
    {.name = "signin_failures_max", .type = SETTING_COUNT, .group = sessions, .unit = "failures", .default_text = "10", AT(signin_failures_max),
     .min = 1, .max = 1000000, .limit = "signinFailures", .help = "Failed sign-ins of one client address at one account within `signin_window`; then 429 `throttled`. Behind a proxy all clients have its address."},
    {.name = "signin_window", .type = SETTING_DURATION, .group = sessions, .default_text = "5m", AT(signin_window_ms),
     .min = SECOND, .max = DAY, .limit = "signinWindowSeconds", .help = "See `signin_failures_max`."},

    {.name = "workers", .type = SETTING_COUNT, .group = workers, .unit = "processes", AT(workers), .min = 0, .max = 64,
     .default_note = "number of cores", .default_made = settings_default_workers,
     .help = "Processes that speak with mail servers and read mails, so that a crash there ends nothing else; 0: the server does it itself, for debugging."},
    {.name = "sandbox", .type = SETTING_CHOICE, .group = workers, .default_text = "best", .choices = "best|required|off", AT(sandbox),
     .help = "How workers are shut in: `best`, as far as this kernel can, and the log says what is missing; `required`, no start without all of it; `off`, for debuggers."},
    {.name = "worker_memory_max", .type = SETTING_SIZE, .group = workers, .default_text = "2G", AT(worker_memory_max),
     .min = 256 * MIB, .max = 1024 * GIB, .help = "Address space of one worker; what wants more ends it."},

    {.name = "interactive_connections", .type = SETTING_COUNT, .group = upstream, .unit = "connections", .default_text = "2", AT(interactive_connections),
     .min = 1, .max = 16, .help = "Connections of one account in one session for lists, reads and flags."},
    {.name = "bulk_connections", .type = SETTING_COUNT, .group = upstream, .unit = "connections", .default_text = "2", AT(bulk_connections),
     .min = 1, .max = 16, .help = "Further ones for attachments and for filling the mirror."},
    {.name = "account_connections_max", .type = SETTING_COUNT, .group = upstream, .unit = "connections", .default_text = "8", AT(account_connections_max),
     .min = 2, .max = 1000, .limit = "mailConnectionsPerAccount", .help = "Connections of one account over all its sessions."},
    {.name = "host_connections_max", .type = SETTING_COUNT, .group = upstream, .unit = "connections", .default_text = "1000", AT(host_connections_max),
     .min = 2, .max = 100000, .limit = "mailConnectionsPerHost", .help = "Connections to one mail host; lowered by itself when the host says there are too many."},
    {.name = "connect_timeout", .type = SETTING_DURATION, .group = upstream, .default_text = "15s", AT(connect_timeout_ms),
     .min = 100, .max = 10 * MINUTE, .limit = "connectTimeoutSeconds", .help = "Name, connection, TLS, greeting and login together."},
    {.name = "connection_idle", .type = SETTING_DURATION, .group = upstream, .default_text = "5m", AT(connection_idle_ms),
     .min = SECOND, .max = 25 * MINUTE, .help = "A connection that nobody used for so long is closed."},
    {.name = "request_timeout", .type = SETTING_DURATION, .group = upstream, .default_text = "30s", AT(request_timeout_ms),
     .min = 100, .max = HOUR, .limit = "requestTimeoutSeconds", .help = "One request, waiting included; then 504 `upstream-timeout`."},
    {.name = "content_timeout", .type = SETTING_DURATION, .group = upstream, .default_text = "30m", AT(content_timeout_ms),
     .min = SECOND, .max = DAY, .limit = "downloadTimeoutSeconds", .help = "One download."},
    {.name = "stall_timeout", .type = SETTING_DURATION, .group = upstream, .default_text = "60s", AT(stall_timeout_ms),
     .min = SECOND, .max = HOUR, .limit = "stallTimeoutSeconds", .help = "A download whose client takes nothing for so long is cut."},
    {.name = "host_down", .type = SETTING_DURATION, .group = upstream, .default_text = "5s", AT(host_down_ms),
     .min = 0, .max = HOUR, .help = "After a mail host did not answer, requests to it fail at once for so long."},

    {.name = "http_connections_max", .type = SETTING_COUNT, .group = http, .unit = "connections", .default_text = "4096", AT(http_connections_max),
     .min = 4, .max = 100000, .limit = "connections", .help = "Connections of HTTP clients at a time."},
    {.name = "http_connections_per_address_max", .type = SETTING_COUNT, .group = http, .unit = "connections", .default_text = "0", AT(http_connections_per_address_max),
     .min = 0, .max = 100000, .limit = "connectionsPerAddress", .help = "The same from one address; 0: no limit of its own, right behind a reverse proxy."},
    {.name = "header_bytes_max", .type = SETTING_SIZE, .group = http, .default_text = "16K", AT(header_bytes_max),
     .min = 1 * KIB, .max = 1 * MIB, .limit = "headerBytes", .help = "Request line and headers."},
    {.name = "header_timeout", .type = SETTING_DURATION, .group = http, .default_text = "15s", AT(header_timeout_ms),
     .min = 100, .max = HOUR, .limit = "headerTimeoutSeconds", .help = "A client must have sent its request line and headers within this."},
    {.name = "body_timeout", .type = SETTING_DURATION, .group = http, .default_text = "30s", AT(body_timeout_ms),
     .min = 100, .max = HOUR, .limit = "bodyTimeoutSeconds", .help = "And its body within this."},
    {.name = "idle_timeout", .type = SETTING_DURATION, .group = http, .default_text = "75s", AT(idle_timeout_ms),
     .min = SECOND, .max = HOUR, .limit = "idleTimeoutSeconds", .help = "A kept-alive connection without requests is closed after so long."},
    {.name = "cors_origins", .type = SETTING_TEXT, .group = http, .default_text = "", .max = 8 * KIB, AT(cors_origins),
     .help = "Origins whose pages may call the API (`https://mail.example.com`), separated by commas; `*` for all; empty: none."},

    {.name = "mail_line_bytes_max", .type = SETTING_SIZE, .group = answers, .default_text = "64K", AT(mail_line_bytes_max),
     .min = 8 * KIB, .max = 16 * MIB, .limit = "mailLineBytes", .help = "One line, literals apart."},
    {.name = "mail_literal_bytes_max", .type = SETTING_SIZE, .group = answers, .default_text = "8M", AT(mail_literal_bytes_max),
     .min = 64 * KIB, .max = 1 * GIB, .limit = "mailLiteralBytes", .help = "One literal that is not streamed to a client."},
    {.name = "mail_command_bytes_max", .type = SETTING_SIZE, .group = answers, .default_text = "4G", AT(mail_command_bytes_max),
     .min = 1 * MIB, .max = 1024 * GIB, .limit = "messageBytes", .help = "The whole answer to one command, content included."},
    {.name = "mail_nesting_max", .type = SETTING_COUNT, .group = answers, .unit = "levels", .default_text = "100", AT(mail_nesting_max),
     .min = 10, .max = 500, .limit = "mailNesting", .help = "Parentheses within parentheses."},
    {.name = "mail_untagged_max", .type = SETTING_COUNT, .group = answers, .unit = "responses", .default_text = "200000", AT(mail_untagged_max),
     .min = 1000, .max = 100000000, .limit = "mailResponses", .help = "Responses that one command brings besides what it asked for."},
    {.name = "mail_folders_max", .type = SETTING_COUNT, .group = answers, .unit = "folders", .default_text = "100000", AT(mail_folders_max),
     .min = 1, .max = 10000000, .limit = "folders", .help = "Folders of one account."},
    {.name = "mail_answer_bytes_max", .type = SETTING_SIZE, .group = answers, .default_text = "256M", AT(mail_answer_bytes_max),
     .min = 1 * MIB, .max = 1024 * GIB, .limit = "mailAnswerBytes", .help = "The whole answer to a command that brings no content."},
    {.name = "mail_command_time_max", .type = SETTING_DURATION, .group = answers, .default_text = "30m", AT(mail_command_time_max_ms),
     .min = SECOND, .max = DAY, .limit = "mailCommandSeconds", .help = "One command, however long its caller would wait."},
    {.name = "mail_parts_max", .type = SETTING_COUNT, .group = answers, .unit = "parts", .default_text = "10000", AT(mail_parts_max),
     .min = 10, .max = BACKEND_PARTS_MAX, .limit = "partsPerMessage", .help = "Parts of one mail that its structure may name."},
    {.name = "message_cpu_max", .type = SETTING_DURATION, .group = answers, .default_text = "250ms", AT(message_cpu_max_ms),
     .min = 10, .max = MINUTE, .limit = "messageCpuMilliseconds", .help = "Processor time for one mail's structure, headers and preview; what is not done by then is left out."},
    {.name = "message_memory_max", .type = SETTING_SIZE, .group = answers, .default_text = "64M", AT(message_memory_max),
     .min = 1 * MIB, .max = 16 * GIB, .limit = "messageMemoryBytes", .help = "Memory for the same."},
    {.name = NULL},
};
/* clang-format on */

const size_t settings_count = sizeof settings_table / sizeof settings_table[0] - 1;

static bool name_matches(const char *name, const char *given, size_t length)
{
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] != (given[i] == '-' ? '_' : given[i]))
            return false;
    return true;
}

const struct setting *setting_find(const char *name, size_t length)
{
    for (const struct setting *row = settings_table; row->name; row++)
        if (name_matches(row->name, name, length))
            return row;
    return NULL;
}
