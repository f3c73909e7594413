/* imap_envelope.c - libetpan's ENVELOPE to ours. Its strings are raw bytes of unknown charset. */
#include "imap.h"
#include "text.h"

#include <libetpan/libetpan.h>
#include <string.h>

#define ADDRESS_WORK 64u

static char *text_of(struct arena *arena, struct decode_budget *budget, const char *raw)
{
    return raw ? decode_text(arena, budget, raw, strlen(raw)) : NULL;
}

static char *email_of(struct arena *arena, struct decode_budget *budget,
                      const struct mailimap_address *raw)
{
    const char *mailbox = raw->ad_mailbox_name ? raw->ad_mailbox_name : "";
    size_t length = strnlen(mailbox, BACKEND_HEADER_VALUE_BYTES_MAX);
    size_t host_length = strnlen(raw->ad_host_name, BACKEND_HEADER_VALUE_BYTES_MAX);
    char *joined = arena_alloc(arena, length + host_length + 2);
    memcpy(joined, mailbox, length);
    joined[length] = '@';
    memcpy(joined + length + 1, raw->ad_host_name, host_length);
    return decode_text(arena, budget, joined, length + host_length + 1);
}

/* ("Group" then members then (NULL NULL)): RFC 3501 7.4.2. */
static void convert_addresses(struct arena *arena, struct decode_budget *budget, clist *from,
                              struct address_list *out)
{
    uint32_t count = from ? (uint32_t)clist_count(from) : 0, kept = 0;
    const char *group = NULL;
    bool group_empty = false;
    if (count > BACKEND_ADDRESSES_MAX) {
        count = BACKEND_ADDRESSES_MAX;
        budget->limited |= LIMITED_ADDRESSES;
    }
    if (count == 0)
        return;
    struct address *items = arena_array(arena, struct address, count);
    for (clistiter *at = clist_begin(from); at && count > 0; at = clist_next(at), count--) {
        const struct mailimap_address *raw = clist_content(at);
        if (!decode_budget_spend(budget, ADDRESS_WORK))
            break;
        if (raw->ad_host_name) {
            items[kept++] = (struct address){
                .name = text_of(arena, budget, raw->ad_personal_name),
                .email = email_of(arena, budget, raw),
                .group = group,
            };
            group_empty = false;
        } else if (raw->ad_mailbox_name) {
            group = text_of(arena, budget, raw->ad_mailbox_name);
            group_empty = true;
        } else if (group) {
            if (group_empty)
                items[kept++] = (struct address){.group = group};
            group = NULL;
        } else if (raw->ad_personal_name) {
            items[kept++] = (struct address){.name = text_of(arena, budget, raw->ad_personal_name)};
        }
    }
    *out = (struct address_list){.items = items, .count = kept};
}

static void convert_ids(struct arena *arena, struct decode_budget *budget, const char *raw,
                        struct string_list *out)
{
    if (raw)
        decode_message_ids(arena, budget, raw, strlen(raw), out);
}

#define ADDRESSES(field, list) ((field) ? (field)->list : NULL)

void imapc_envelope_convert(struct arena *arena, struct decode_budget *budget,
                            const struct mailimap_envelope *from, struct envelope *out)
{
    struct string_list ids = {0};
    out->subject = text_of(arena, budget, from->env_subject);
    if (from->env_date)
        out->has_date = decode_date(from->env_date, strlen(from->env_date), &out->date_s);
    convert_ids(arena, budget, from->env_message_id, &ids);
    out->message_id = ids.count ? ids.items[0] : text_of(arena, budget, from->env_message_id);
    convert_addresses(arena, budget, ADDRESSES(from->env_from, frm_list), &out->from);
    convert_addresses(arena, budget, ADDRESSES(from->env_sender, snd_list), &out->sender);
    convert_addresses(arena, budget, ADDRESSES(from->env_reply_to, rt_list), &out->reply_to);
    convert_addresses(arena, budget, ADDRESSES(from->env_to, to_list), &out->to);
    convert_addresses(arena, budget, ADDRESSES(from->env_cc, cc_list), &out->cc);
    convert_addresses(arena, budget, ADDRESSES(from->env_bcc, bcc_list), &out->bcc);
    convert_ids(arena, budget, from->env_in_reply_to, &out->in_reply_to);
}
