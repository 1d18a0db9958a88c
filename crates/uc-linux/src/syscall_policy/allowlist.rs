//! Which system calls a container may make.
//!
//! Everything an ordinary server or tool needs, and nothing that needs a capability (containers have none), reaches
//! another process's memory, loads code into the kernel, or makes namespaces and mounts. Calls whose danger lies in
//! an argument (`clone`, `socket`, `ioctl`, `personality`) are not here but in the rules of the parent module.

use libc::c_long;

/// Flags of clone(2) that make namespaces.
pub(super) const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Calls that answer ENOSYS: their arguments lie behind a pointer where a filter cannot look (`clone3`), and their
/// users fall back to an older call; io_uring would run operations past the filter.
pub const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// The newest call that was considered for the list: mseal(2) of Linux 6.10, numbered alike on all architectures.
pub const NEWEST_CONSIDERED: u32 = 462;

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// Calls that exist on every 64-bit architecture.
#[cfg(not(target_arch = "x86_64"))]
pub const ALLOWED: &[c_long] = COMMON;

/// Calls of x86-64: the common ones and those it kept from older times.
#[cfg(target_arch = "x86_64")]
pub const ALLOWED: &[c_long] = &concat_lists();

#[cfg(target_arch = "x86_64")]
const fn concat_lists() -> [c_long; COMMON.len() + X86_64.len()] {
    let mut all = [0; COMMON.len() + X86_64.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < COMMON.len() {
            COMMON[index]
        } else {
            X86_64[index - COMMON.len()]
        };
        index += 1;
    }
    all
}

#[cfg(target_arch = "x86_64")]
const X86_64: &[c_long] = calls![
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_getrlimit
    SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_open SYS_pause SYS_pipe SYS_poll
    SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_setrlimit SYS_signalfd SYS_stat SYS_symlink SYS_sysfs SYS_time
    SYS_unlink SYS_ustat SYS_utime SYS_utimes SYS_vfork
];

const COMMON: &[c_long] = calls![
    // Files and directories.
    SYS_chdir SYS_close SYS_close_range SYS_copy_file_range SYS_dup SYS_dup3 SYS_faccessat SYS_faccessat2
    SYS_fadvise64 SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchmodat2 SYS_fchown SYS_fchownat SYS_fcntl
    SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs
    SYS_fsync SYS_ftruncate SYS_getcwd SYS_getdents64 SYS_getxattr SYS_lgetxattr SYS_linkat SYS_listxattr
    SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_mkdirat SYS_mknodat SYS_newfstatat SYS_openat
    SYS_openat2 SYS_pread64 SYS_preadv SYS_preadv2 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead
    SYS_readlinkat SYS_readv SYS_removexattr SYS_renameat SYS_renameat2 SYS_sendfile SYS_setxattr SYS_splice
    SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs SYS_tee SYS_truncate SYS_umask
    SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_write SYS_writev
    SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self
    // Memory.
    SYS_brk SYS_madvise SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mlock SYS_mlock2
    SYS_mlockall SYS_mmap SYS_mprotect SYS_mremap SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_pkey_alloc
    SYS_pkey_free SYS_pkey_mprotect SYS_remap_file_pages
    // Processes and threads of its own PID namespace.
    SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_get_robust_list SYS_getcpu SYS_getpgid SYS_getpid
    SYS_getppid SYS_getpriority SYS_getrandom SYS_getrusage SYS_getsid SYS_gettid SYS_ioprio_get SYS_ioprio_set
    SYS_kill SYS_pidfd_open SYS_pidfd_send_signal SYS_prctl SYS_prlimit64 SYS_restart_syscall SYS_rseq
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr
    SYS_sched_getparam SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_set_robust_list SYS_set_tid_address
    SYS_setpgid SYS_setpriority SYS_setsid SYS_sysinfo SYS_tgkill SYS_times SYS_tkill SYS_uname SYS_wait4
    SYS_waitid
    // Who it is; without capabilities these only move among its own ids.
    SYS_capget SYS_capset SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getresgid SYS_getresuid SYS_getuid
    SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid
    SYS_setuid
    // Signals, timers, waiting.
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_futex SYS_futex_waitv SYS_getitimer SYS_gettimeofday SYS_nanosleep SYS_pipe2
    SYS_ppoll SYS_pselect6 SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo
    SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_setitimer SYS_sigaltstack
    SYS_signalfd4 SYS_timer_create SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime
    SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime
    // Asynchronous file I/O of the old kind.
    SYS_io_cancel SYS_io_destroy SYS_io_getevents SYS_io_setup SYS_io_submit
    // Sockets, once `socket` has let them be made.
    SYS_accept SYS_accept4 SYS_bind SYS_connect SYS_getpeername SYS_getsockname SYS_getsockopt SYS_listen
    SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setsockopt SYS_shutdown
    // System V and POSIX inter-process communication within its own IPC namespace.
    SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_msgctl
    SYS_msgget SYS_msgrcv SYS_msgsnd SYS_semctl SYS_semget SYS_semop SYS_semtimedop SYS_shmat SYS_shmctl SYS_shmdt
    SYS_shmget
];
