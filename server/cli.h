/* cli.h - the command line: what is asked for, with which settings. */
#ifndef POSTERN_CLI_H
#define POSTERN_CLI_H

#define EXIT_USAGE 2

int cli_main(int argc, char **argv);

#endif
