/* openapi.c - openapi.yaml as bytes of the program, so that what is served is what was built.
 *
 * The Makefile says where the file is (from its own directory) and that this object depends on it.
 */
#include "openapi.h"

#ifndef POSTERN_OPENAPI
#define POSTERN_OPENAPI "openapi.yaml"
#endif

__asm__(".pushsection .rodata\n"
        ".global postern_openapi_text\n"
        ".type postern_openapi_text, @object\n"
        "postern_openapi_text:\n"
        ".incbin \"" POSTERN_OPENAPI "\"\n"
        ".byte 0\n"
        ".size postern_openapi_text, . - postern_openapi_text\n"
        ".popsection\n");

extern const char postern_openapi_text[];

const char *openapi_text(void)
{
    return postern_openapi_text;
}
