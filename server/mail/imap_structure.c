/* imap_structure.c - libetpan's BODYSTRUCTURE to our flat tree.
 *
 * Recursion follows what libetpan built, whose depth the nesting cap of imap_etpan.c bounds.
 */
#include "imap.h"

#include <libetpan/libetpan.h>
#include <string.h>

static void take_parameters(const struct mailimap_body_fld_param *from,
                            struct imapc_parameters *out)
{
    if (!from)
        return;
    for (clistiter *at = clist_begin(from->pa_list); at; at = clist_next(at)) {
        const struct mailimap_single_body_fld_param *pair = clist_content(at);
        if (pair->pa_name && pair->pa_value)
            imapc_parameters_add(out, pair->pa_name, pair->pa_value, strlen(pair->pa_value));
    }
}

static const char *encoding_of(struct arena *arena, const struct mailimap_body_fld_enc *encoding)
{
    static const char *const names[] = {
        [MAILIMAP_BODY_FLD_ENC_7BIT] = "7bit",
        [MAILIMAP_BODY_FLD_ENC_8BIT] = "8bit",
        [MAILIMAP_BODY_FLD_ENC_BINARY] = "binary",
        [MAILIMAP_BODY_FLD_ENC_BASE64] = "base64",
        [MAILIMAP_BODY_FLD_ENC_QUOTED_PRINTABLE] = "quoted-printable",
    };
    if (!encoding)
        return "7bit";
    if (encoding->enc_type == MAILIMAP_BODY_FLD_ENC_OTHER)
        return imapc_lower(arena, encoding->enc_value, "7bit");
    return (unsigned)encoding->enc_type < sizeof names / sizeof *names ? names[encoding->enc_type]
                                                                       : "7bit";
}

static const char *basic_type(const struct mailimap_media_basic *media)
{
    static const char *const names[] = {
        [MAILIMAP_MEDIA_BASIC_APPLICATION] = "application",
        [MAILIMAP_MEDIA_BASIC_AUDIO] = "audio",
        [MAILIMAP_MEDIA_BASIC_IMAGE] = "image",
        [MAILIMAP_MEDIA_BASIC_MESSAGE] = "message",
        [MAILIMAP_MEDIA_BASIC_VIDEO] = "video",
    };
    if (media->med_type == MAILIMAP_MEDIA_BASIC_OTHER)
        return media->med_basic_type;
    return (unsigned)media->med_type < sizeof names / sizeof *names ? names[media->med_type] : NULL;
}

/* Not inlined: its lists would be on the stack once for each level. */
__attribute__((noinline)) static void describe(struct imapc_tree *tree, struct part *part,
                                               const struct mailimap_body_fld_param *parameters,
                                               const struct mailimap_body_fld_dsp *disposition,
                                               const char *content_id)
{
    struct imapc_parameters of_part = {.count = 0}, of_disposition = {.count = 0};
    take_parameters(parameters, &of_part);
    take_parameters(disposition ? disposition->dsp_attributes : NULL, &of_disposition);
    imapc_tree_describe(tree, part, &of_part, disposition ? disposition->dsp_type : NULL,
                        &of_disposition, content_id);
}

static void convert_body(struct imapc_tree *tree, const struct mailimap_body *body, int32_t parent,
                         const char *id);

static void convert_multipart(struct imapc_tree *tree, const struct mailimap_body_type_mpart *from,
                              int32_t parent, const char *id)
{
    struct part *part = imapc_tree_add(tree, parent, id);
    if (!part)
        return;
    int32_t index = (int32_t)tree->count - 1;
    uint32_t nth = 0;
    part->type = imapc_media_type(tree->arena, "multipart", from->bd_media_subtype);
    describe(tree, part, from->bd_ext_mpart ? from->bd_ext_mpart->bd_parameter : NULL,
             from->bd_ext_mpart ? from->bd_ext_mpart->bd_disposition : NULL, NULL);
    for (clistiter *at = clist_begin(from->bd_list); at && !imapc_tree_is_full(tree);
         at = clist_next(at))
        convert_body(tree, clist_content(at), index, imapc_tree_child_id(tree, id, ++nth));
}

static const struct mailimap_body_fields *
fields_of(struct imapc_tree *tree, const struct mailimap_body_type_1part *from, struct part *part)
{
    switch (from->bd_type) {
    case MAILIMAP_BODY_TYPE_1PART_MSG:
        part->type = "message/rfc822";
        return from->bd_data.bd_type_msg->bd_fields;
    case MAILIMAP_BODY_TYPE_1PART_TEXT:
        part->type =
            imapc_media_type(tree->arena, "text", from->bd_data.bd_type_text->bd_media_text);
        return from->bd_data.bd_type_text->bd_fields;
    default: break;
    }
    const struct mailimap_media_basic *media = from->bd_data.bd_type_basic->bd_media_basic;
    part->type = imapc_media_type(tree->arena, basic_type(media), media->med_subtype);
    return from->bd_data.bd_type_basic->bd_fields;
}

static void convert_single(struct imapc_tree *tree, const struct mailimap_body_type_1part *from,
                           int32_t parent, const char *id)
{
    struct part *part = imapc_tree_add(tree, parent, id);
    if (!part)
        return;
    int32_t index = (int32_t)tree->count - 1;
    const struct mailimap_body_fields *fields = fields_of(tree, from, part);
    const struct mailimap_body_ext_1part *more = from->bd_ext_1part;
    part->encoding = encoding_of(tree->arena, fields->bd_encoding);
    part->encoded_size = fields->bd_size;
    describe(tree, part, fields->bd_parameter, more ? more->bd_disposition : NULL, fields->bd_id);
    if (from->bd_type != MAILIMAP_BODY_TYPE_1PART_MSG)
        return;
    const struct mailimap_body *inner = from->bd_data.bd_type_msg->bd_body;
    convert_body(tree, inner, index,
                 imapc_tree_inner_id(tree, id, inner->bd_type == MAILIMAP_BODY_MPART));
}

static void convert_body(struct imapc_tree *tree, const struct mailimap_body *body, int32_t parent,
                         const char *id)
{
    if (body->bd_type == MAILIMAP_BODY_MPART)
        convert_multipart(tree, body->bd_data.bd_body_mpart, parent, id);
    else
        convert_single(tree, body->bd_data.bd_body_1part, parent, id);
}

void imapc_structure_convert(struct arena *arena, struct decode_budget *budget,
                             const struct mailimap_body *body, uint32_t parts_max,
                             struct message *out)
{
    struct imapc_tree tree = {.arena = arena, .budget = budget, .count_max = parts_max};
    convert_body(&tree, body, -1, body->bd_type == MAILIMAP_BODY_MPART ? "" : "1");
    imapc_tree_finish(&tree, out);
}
