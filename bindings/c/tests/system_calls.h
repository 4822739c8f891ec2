/* system_calls.h - those that the library makes, as bindings/c/README.md has them. */
/* clang-format off */
CALL(accept4) CALL(bind) CALL(brk) CALL(clock_gettime) CALL(clock_nanosleep) CALL(clone) CALL(clone3) CALL(close)
CALL(connect) CALL(epoll_create1) CALL(epoll_ctl) CALL(epoll_pwait) CALL(eventfd2) CALL(exit) CALL(exit_group)
CALL(faccessat2) CALL(fcntl) CALL(fstat) CALL(futex) CALL(getpeername) CALL(getpid) CALL(getrandom) CALL(getsockname)
CALL(getsockopt) CALL(gettid) CALL(listen) CALL(lseek) CALL(madvise) CALL(mmap) CALL(mprotect) CALL(munmap)
CALL(nanosleep) CALL(newfstatat) CALL(openat) CALL(prctl) CALL(pread64) CALL(prlimit64) CALL(read) CALL(readlink)
CALL(readlinkat) CALL(rseq) CALL(rt_sigaction) CALL(rt_sigprocmask) CALL(rt_sigreturn) CALL(sched_getaffinity)
CALL(sched_yield) CALL(set_robust_list) CALL(setsockopt) CALL(shutdown) CALL(sigaltstack) CALL(socket) CALL(statfs)
CALL(tgkill) CALL(write)
