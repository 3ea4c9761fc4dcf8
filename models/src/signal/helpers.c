/* The signals of programs, in the order in which they stand for bits. */
static int signal_of_bit(int bit) {
    const int signals[] = {SIGUSR1, SIGUSR2, SIGURG, SIGRTMIN, SIGRTMIN + 1,
                           SIGPIPE, SIGCONT, SIGSTOP, SIGKILL};
    return signals[bit];
}

static long bits_of(const sigset_t *set) {
    long bits = 0;
    for (int bit = 0; bit < 9; bit++)
        if (sigismember(set, signal_of_bit(bit)) == 1) bits |= 1L << bit;
    return bits;
}

/* A set of signals; 0 ends the list. */
static sigset_t set_of(int signal, ...) {
    sigset_t set;
    va_list list;
    sigemptyset(&set);
    va_start(list, signal);
    for (; signal != 0; signal = va_arg(list, int)) sigaddset(&set, signal);
    va_end(list);
    return set;
}

/* Asks whether there is such an actor, or for a signal that there is not. */
static long check_signal(int actor, int signal) {
    pid_t pid = desks[actor].pid;
    return kill(pid == 0 ? getpid() : pid, signal);
}

static long send_to_thread(int actor, int signal) {
    pid_t pid = desks[actor].pid;
    return pid == 0 ? 0 : syscall(SYS_tgkill, pid, pid, signal);
}

/* The signals that were blocked before. */
static long change_mask(int how, sigset_t set) {
    sigset_t old;
    sigemptyset(&old);
    return sigprocmask(how, &set, &old) == -1 ? -1 : bits_of(&old);
}

static long pending_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    return sigpending(&set) == -1 ? -1 : bits_of(&set);
}

/* The signal that came; for ever where the time is below 0. */
static long wait_for_signal(sigset_t set, long milliseconds) {
    struct timespec time = {0, milliseconds * 1000000};
    siginfo_t info;
    long signal = syscall(SYS_rt_sigtimedwait, &set, &info,
                          milliseconds < 0 ? NULL : &time, 8 /* bytes of a set */);
    if (signal > 0) {
        printf("[code %d from %d", info.si_code, (int)info.si_pid);
        if (info.si_code == SI_QUEUE) printf(" value %d", info.si_value.sival_int);
        printf("] ");
    }
    return signal;
}

static long suspend(sigset_t mask) { return sigsuspend(&mask); }
