/* What a closed-in worker is refused, and what it dies of. */
#include "confine_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static char own_file[] = "/tmp/postern-confine-XXXXXX";
static pid_t parent;
static int listener, tcp_socket, unix_pair[2]; /* opened before the child is closed in */
static struct sockaddr_in listener_at;

static int open_what_is_needed(void **state)
{
    (void)state;
    uint16_t port;
    parent = getpid();
    close(mkstemp(own_file));
    listener = peer_listen("127.0.0.1", 0, 4, &port);
    tcp_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_pair);
    listener_at = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return 0;
}

static int close_it_again(void **state)
{
    (void)state;
    close(listener);
    close(tcp_socket);
    close(unix_pair[0]);
    close(unix_pair[1]);
    return unlink(own_file);
}

static bool kernel_has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

/* ---- what is refused: 0 or an errno ---- */

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static int read_a_file(void)
{
    return errno_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int read_its_own_memory_as_a_file(void)
{
    return errno_of(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static int write_a_file(void)
{
    return errno_of(open(own_file, O_WRONLY | O_CLOEXEC));
}

static int make_a_file(void)
{
    return errno_of(open("/tmp/postern-confine-new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int truncate_a_file(void)
{
    return errno_of(truncate(own_file, 0));
}

static int remove_a_file(void)
{
    return errno_of(unlink(own_file));
}

static int rename_a_file(void)
{
    return errno_of(rename(own_file, "/tmp/postern-confine-new"));
}

static int look_at_a_file(void)
{
    struct stat what;
    return errno_of(stat("/etc/passwd", &what));
}

static int list_a_directory(void)
{
    return errno_of(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int make_a_tcp_socket(void)
{
    return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int make_a_unix_socket(void)
{
    return errno_of(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static int connect_a_socket(void)
{
    return errno_of(connect(tcp_socket, (struct sockaddr *)&listener_at, sizeof listener_at));
}

static int accept_a_connection(void)
{
    return errno_of(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
}

static int bind_a_socket(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    return errno_of(bind(tcp_socket, (struct sockaddr *)&any, sizeof any));
}

static int start_a_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return errno_of(child);
}

static int signal_its_parent(void)
{
    return errno_of(kill(parent, 0));
}

static int signal_another_thread_group(void)
{
    return errno_of(syscall(SYS_tgkill, (long)parent, (long)parent, 0L));
}

static int map_what_can_be_executed(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? errno : 0;
}

static int make_data_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 0;
    return errno_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int be_dumpable_again(void)
{
    return errno_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int raise_a_limit(void)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return errno_of(setrlimit(RLIMIT_AS, &all));
}

static int have_signals_sent_for_it(void)
{
    return errno_of(fcntl(tcp_socket, F_SETOWN, (long)1));
}

static int give_a_descriptor_away(void)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = (char[]){'x'}, .iov_len = 1};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = sizeof control.space};
    struct cmsghdr *ancillary = CMSG_FIRSTHDR(&header);
    ancillary->cmsg_level = SOL_SOCKET;
    ancillary->cmsg_type = SCM_RIGHTS;
    ancillary->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(ancillary), &tcp_socket, sizeof(int));
    return errno_of(sendmsg(unix_pair[0], &header, MSG_DONTWAIT | MSG_NOSIGNAL));
}

#define REFUSED(what)                                                                              \
    {                                                                                              \
#what, what                                                                                \
    }

static const struct attempt {
    const char *name;
    int (*try)(void);
} refused[] = {
    REFUSED(read_a_file),
    REFUSED(read_its_own_memory_as_a_file),
    REFUSED(write_a_file),
    REFUSED(make_a_file),
    REFUSED(truncate_a_file),
    REFUSED(remove_a_file),
    REFUSED(rename_a_file),
    REFUSED(look_at_a_file),
    REFUSED(list_a_directory),
    REFUSED(make_a_tcp_socket),
    REFUSED(make_a_unix_socket),
    REFUSED(bind_a_socket),
    REFUSED(accept_a_connection),
    REFUSED(connect_a_socket),
    REFUSED(start_a_process),
    REFUSED(signal_its_parent),
    REFUSED(signal_another_thread_group),
    REFUSED(map_what_can_be_executed),
    REFUSED(make_data_executable),
    REFUSED(be_dumpable_again),
    REFUSED(raise_a_limit),
    REFUSED(have_signals_sent_for_it),
    REFUSED(give_a_descriptor_away),
};

static int try_confined(const void *attempt)
{
    if (!(close_in() & CONFINED_SYSCALLS))
        return 0;
    return ((const struct attempt *)attempt)->try();
}

static int try_free(const void *attempt)
{
    return ((const struct attempt *)attempt)->try();
}

/* How many were not refused. */
static int try_all_refused(const void *argument)
{
    int bad = 0;
    (void)argument;
    if (!(close_in() & CONFINED_SYSCALLS))
        return 200;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int result = refused[i].try();
        if (result == EPERM || result == EACCES)
            continue;
        fprintf(stderr, "%s: %d\n", refused[i].name, result);
        bad++;
    }
    return bad;
}

static void a_worker_is_refused_what_it_has_no_business_with(void **state)
{
    (void)state;
    assert_int_equal(child_run(try_all_refused, NULL), 0);
}

/* ---- what ends the process ---- */

static int run_a_program(void)
{
    char *words[] = {"true", NULL};
    return errno_of(execve("/bin/true", words, NULL));
}

static int trace_its_parent(void)
{
    return errno_of(ptrace(PTRACE_ATTACH, parent, NULL, NULL));
}

static int read_its_parents_memory(void)
{
    char here;
    struct iovec to = {&here, 1}, from = {(void *)(uintptr_t)own_file, 1};
    return errno_of(process_vm_readv(parent, &to, 1, &from, 1, 0));
}

static int leave_its_namespaces(void)
{
    return errno_of(unshare(CLONE_NEWUSER));
}

static int mount_something(void)
{
    return errno_of(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int load_a_kernel_program(void)
{
    return errno_of(syscall(SYS_bpf, 0L, NULL, 0L));
}

static int call_by_another_abi(void)
{
#ifdef __x86_64__
    return errno_of(syscall(0x40000000L | SYS_getpid)); /* x32 */
#else
    return errno_of(syscall(SYS_bpf, 0L, NULL, 0L));
#endif
}

static const struct attempt deadly[] = {
    REFUSED(run_a_program),           REFUSED(trace_its_parent), REFUSED(leave_its_namespaces),
    REFUSED(read_its_parents_memory), REFUSED(mount_something),  REFUSED(load_a_kernel_program),
    REFUSED(call_by_another_abi),
};

static void what_only_an_intruder_does_ends_the_worker(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        int result = child_run(try_confined, &deadly[i]);
        if (result != -SIGSYS)
            fail_msg("%s: %d", deadly[i].name, result);
    }
}

/* ---- each lock for itself ---- */

static int everything_is_achieved(const void *argument)
{
    uint32_t wanted = CONFINED_ALL;
    (void)argument;
    if (confine_sanitized)
        wanted &= ~(uint32_t)CONFINED_MEMORY;
    if (!kernel_has_landlock())
        wanted &= ~(uint32_t)CONFINED_FILES;
    return close_in() == wanted ? 0 : 1;
}

static void all_that_the_kernel_has_is_used(void **state)
{
    (void)state;
    assert_int_equal(child_run(everything_is_achieved, NULL), 0);
}

static int try_behind_landlock(const void *attempt)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return confine_files() ? ((const struct attempt *)attempt)->try() : 0;
}

static void landlock_alone_keeps_every_file_shut(void **state)
{
    (void)state;
    static const struct attempt files[] = {REFUSED(read_a_file), REFUSED(write_a_file),
                                           REFUSED(make_a_file), REFUSED(remove_a_file),
                                           REFUSED(list_a_directory)};
    if (!kernel_has_landlock()) {
        assert_int_equal(child_run(try_behind_landlock, &files[0]), 0);
        return;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (child_run(try_free, &files[i]) != 0 && files[i].try != remove_a_file)
            fail_msg("%s: does not even go without Landlock", files[i].name);
        if (files[i].try == remove_a_file || files[i].try == make_a_file)
            close(open(own_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        unlink("/tmp/postern-confine-new");
        int result = child_run(try_behind_landlock, &files[i]);
        if (result != EACCES)
            fail_msg("%s: %d", files[i].name, result);
    }
}

static int take_too_much_memory(const void *argument)
{
    (void)argument;
    bool limited = close_in() & CONFINED_MEMORY;
    if (confine_sanitized)
        return limited; /* it must not be claimed */
    void *volatile much = malloc(MEMORY_MAX), *volatile enough = malloc(MEMORY_MAX / 4);
    return !limited || much || !enough;
}

static void a_worker_gets_no_more_memory_than_it_was_given(void **state)
{
    (void)state;
    assert_int_equal(child_run(take_too_much_memory, NULL), 0);
}

static int shut_all_but_one(const void *argument)
{
    int kept = dup(listener), last = dup(listener);
    (void)argument;
    confine_descriptors(kept);
    return fcntl(kept, F_GETFD) < 0 || fcntl(listener, F_GETFD) >= 0 || fcntl(last, F_GETFD) >= 0 ||
           fcntl(STDERR_FILENO, F_GETFD) < 0;
}

static void a_worker_keeps_one_descriptor_of_what_it_inherits(void **state)
{
    (void)state;
    assert_int_equal(child_run(shut_all_but_one, NULL), 0);
}

static void each_lock_has_a_name(void **state)
{
    (void)state;
    for (uint32_t bit = 1; bit <= CONFINED_ALL; bit <<= 1)
        assert_non_null(confinement_name(bit));
    assert_null(confinement_name(CONFINED_ALL));
    assert_null(confinement_name(CONFINED_ALL + 1));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_is_refused_what_it_has_no_business_with),
        cmocka_unit_test(what_only_an_intruder_does_ends_the_worker),
        cmocka_unit_test(all_that_the_kernel_has_is_used),
        cmocka_unit_test(landlock_alone_keeps_every_file_shut),
        cmocka_unit_test(a_worker_gets_no_more_memory_than_it_was_given),
        cmocka_unit_test(a_worker_keeps_one_descriptor_of_what_it_inherits),
        cmocka_unit_test(each_lock_has_a_name),
    };
    return cmocka_run_group_tests_name("confine", tests, open_what_is_needed, close_it_again);
}
