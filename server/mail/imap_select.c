/* imap_select.c - which folder this connection looks at. */
#include "imap.h"
#include "text.h"

#include <string.h>

static enum err check_validity(struct imapc *imap, struct call *call, uint32_t validity)
{
    if (validity == 0 || imap->facts.validity == validity)
        return OK;
    return fault_set(&call->fault, ERR_GONE, "the folder was made anew on the mail server");
}

/* "INBOX" is one folder in any case of letters. */
static bool same_folder(const char *a, const char *b)
{
    return strcmp(a, b) == 0 || (text_casecmp(a, "INBOX") == 0 && text_casecmp(b, "INBOX") == 0);
}

/* A round trip of its own: before commands that are pipelined behind it Dovecot would not look. */
enum err imapc_renew_view(struct imapc *imap, struct call *call)
{
    if (!imap->selected || imap->view_is_new)
        return OK;
    return imapc_simple(imap, call, NULL, "NOOP", NULL);
}

enum err imapc_select(struct imapc *imap, struct call *call, const char *remote, uint32_t validity)
{
    if (imap->selected && same_folder(imap->selected, remote)) {
        imap->view_is_new = false;
        return check_validity(imap, call, validity);
    }
    if (strpbrk(remote, "\r\n"))
        return fault_set(&call->fault, ERR_NOT_FOUND, "no such folder");
    enum err err = imapc_begin(imap, call, NULL);
    if (err)
        return err;
    imapc_forget_selected(imap);
    imap->selects++;
    imapc_command(imap, "SELECT");
    err = imapc_astring(imap, remote, strlen(remote));
    if (err)
        return err;
    imapc_command_end(imap);
    err = imapc_run(imap);
    if (err) {
        struct folder_facts none = {0};
        imap->facts = none; /* a failed SELECT leaves nothing selected */
        return err;
    }
    imap->pending = (struct imapc_pending){0};
    imap->view_is_new = true;
    imap->selected_ms = clock_now_ms();
    imap->selected = xstrdup(remote);
    imap->backend.selected = imap->selected;
    return check_validity(imap, call, validity);
}
