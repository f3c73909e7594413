/* special.h - addresses that are not some mail server out on the Internet. */
#ifndef POSTERN_SPECIAL_H
#define POSTERN_SPECIAL_H

#include "ip.h"

/* What is special about the address ("loopback", "private"), static; NULL: a plain public one. */
const char *special_name(const struct ip *ip);

#endif
