/* main.c - the door. Everything stands in cli.c, so that tests can link without a main. */
#include "cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
