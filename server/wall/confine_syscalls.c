/* confine_syscalls.c - seccomp: the system calls a worker lives on; all others are refused.
 *
 * What glibc, OpenSSL or GLib may try and can do without is refused by an error, which they know
 * how to take. What no part of this program ever calls, and what an intruder would call first, ends
 * the process. Names that libseccomp does not know are no calls of this machine.
 */
#include "confine_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const allowed[] = {
    /* what is open already */
    "read", "readv", "write", "writev", "close", "fstat", "lseek",
    /* sockets that were handed in. No sendmsg(): descriptors are taken and never given. Those under
       way count against the user, who may be the main process's too: it could send none then. */
    "recvfrom", "recvmsg", "sendto", "shutdown", "getsockopt", "getsockname", "getpeername",
    /* waiting */
    "poll", "ppoll", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2", "futex",
    "nanosleep", "clock_nanosleep", "sched_yield", "restart_syscall",
    /* memory */
    "brk", "munmap", "mremap", "madvise",
    /* threads and signals */
    "set_robust_list", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "gettid", "exit",
    "exit_group",
    /* time, chance, and facts */
    "clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom", "getpid", "getrusage",
    "getuid", "geteuid", "getgid", "getegid", "getrlimit", "sysinfo", "getcpu", NULL};

/* Allowed with these arguments alone; several rows of one call are alternatives. */
struct condition {
    const char *name;
    struct scmp_arg_cmp first, second;
    unsigned count;
};

#define ONE(index, ...) .first = {(index), __VA_ARGS__}, .count = 1
#define WITHOUT(bit)    SCMP_CMP_MASKED_EQ, (bit), 0
#define WITH(bit)       SCMP_CMP_MASKED_EQ, (bit), (bit)
#define EQUALS(value)   SCMP_CMP_EQ, (value), 0

/* clang-format off */
static const struct condition conditions[] = {
    {"mmap",     ONE(2, WITHOUT(PROT_EXEC))},
    {"mprotect", ONE(2, WITHOUT(PROT_EXEC))},
    {"clone",    ONE(0, WITH(CLONE_THREAD))},
    {"prctl",    ONE(0, EQUALS(PR_SET_NAME))},
    {"setpriority", ONE(1, EQUALS(0))},
    {"fcntl",    ONE(1, EQUALS(F_GETFL))},
    {"fcntl",    ONE(1, EQUALS(F_SETFL))},
    {"fcntl",    ONE(1, EQUALS(F_GETFD))},
    {"fcntl",    ONE(1, EQUALS(F_SETFD))},
    {"ioctl",    ONE(1, EQUALS(FIONREAD))},
    {"ioctl",    ONE(1, EQUALS(FIONBIO))},
    /* pthread_getattr_np(), to ask only */
    {"prlimit64", .first = {0, EQUALS(0)}, .second = {2, EQUALS(0)}, .count = 2},
};
/* clang-format on */

static const char *const deadly[] = {
    /* other programs and processes */
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
    "pidfd_getfd", "kcmp", "unshare", "setns", "personality", "setuid", "setgid", "setresuid",
    "setresgid", "capset",
    /* the kernel's wide doors */
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "keyctl", "add_key", "request_key", "modify_ldt", "iopl", "ioperm",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    /* the file system */
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr",
    "fsopen", "fsconfig", "fsmount", "fspick", "swapon", "swapoff", "open_by_handle_at", NULL};

static bool add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *when)
{
    int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR ||
           seccomp_rule_add_array(filter, action, number, count, when) == 0;
}

static bool add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
    bool good = true;
    for (; *names && good; names++)
        good = add(filter, action, *names, 0, NULL);
    return good;
}

static bool add_conditions(scmp_filter_ctx filter)
{
    bool good = true;
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions && good; i++) {
        const struct condition *row = &conditions[i];
        struct scmp_arg_cmp when[] = {row->first, row->second};
        good = add(filter, SCMP_ACT_ALLOW, row->name, row->count, when);
    }
    return good;
}

/* abort() and pthread_kill() */
static bool add_signals_to_itself(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp itself = {0, EQUALS((scmp_datum_t)getpid())};
    return add(filter, SCMP_ACT_ALLOW, "tgkill", 1, &itself) &&
           add(filter, SCMP_ACT_ALLOW, "kill", 1, &itself);
}

static bool fill(scmp_filter_ctx filter)
{
    /* Calls of the other ABI that the processor also speaks. */
    return seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
           /* A sanitizer may have a thread of its own. */
           seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
           seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
           add_all(filter, SCMP_ACT_ALLOW, allowed) &&
           add_all(filter, SCMP_ACT_ALLOW, confine_sanitized_call) && add_conditions(filter) &&
           add_signals_to_itself(filter) &&
           /* Its flags are in memory, where a filter cannot look; glibc then uses clone. */
           add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL) &&
           add_all(filter, SCMP_ACT_KILL_PROCESS, deadly);
}

bool confine_syscalls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return false;
    bool done = fill(filter) && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return done;
}
