/* What the first process, which directs, and one actor share. */
struct desk {
    atomic_uint bell;    /* the step that the actor is told to make */
    atomic_uint done;    /* the last step that it has made */
    atomic_int pid;      /* 0 where there is no such actor */
    long result;
    int error;
    atomic_uint handled; /* handlers that ran since the director looked */
    int signals[16], queued[16], values[16];
};
static struct desk *desks;
static int this_actor = DIRECTOR;

/* Notes that a handler ran; async-signal-safe. */
static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    unsigned place = atomic_fetch_add(&desks[this_actor].handled, 1);
    if (place < 16) {
        desks[this_actor].signals[place] = signal;
        desks[this_actor].queued[place] = info->si_code == SI_QUEUE;
        desks[this_actor].values[place] = info->si_value.sival_int;
    }
}

/* Stands for on_signal in act_on. */
static void handle(int signal) { (void)signal; }

static long act_on(int signal, void (*handler)(int), int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigfillset(&action.sa_mask);
    action.sa_flags = flags;
    if (handler == handle) {
        action.sa_flags |= SA_SIGINFO;
        action.sa_sigaction = on_signal;
    } else {
        action.sa_handler = handler;
    }
    return sigaction(signal, &action, NULL);
}

/* To an actor that never was, nothing is sent. */
static long send_signal(int actor, int signal) {
    pid_t pid = desks[actor].pid;
    return pid == 0 ? 0 : kill(pid, signal);
}

static long queue_signal(int actor, int signal, int number) {
    union sigval value;
    pid_t pid = desks[actor].pid;
    memset(&value, 0, sizeof value);
    value.sival_int = number;
    return pid == 0 ? 0 : sigqueue(pid, signal, value);
}

static long make_step(unsigned number);

/* The life of an actor: it makes the steps that it is told to make. */
static void live(unsigned heard) {
    struct desk *desk = &desks[this_actor];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        while (atomic_load(&desk->bell) == heard)
            syscall(SYS_futex, &desk->bell, 0 /* FUTEX_WAIT */, heard, NULL, NULL, 0);
        heard = atomic_load(&desk->bell);
        errno = 0;
        long result = make_step(heard);
        desk->error = result == -1 ? errno : 0;
        desk->result = result;
        atomic_store(&desk->done, heard);
    }
}

/* Forks an actor whose parent is the director too; which one, or -1 when
   there is no room. */
static long fork_actor(void) {
    int actor = 0;
    while (actor < MOST_ACTORS && desks[actor].pid != 0) actor++;
    if (actor == MOST_ACTORS) return -1;
    unsigned heard = atomic_load(&desks[actor].bell);
    long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        this_actor = actor;
        live(heard);
    }
    if (pid > 0) desks[actor].pid = pid;
    return pid < 0 ? -1 : actor;
}

static void first_actor(int actor) {
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        this_actor = actor;
        for (int signal = 1; signal <= SIGRTMAX; signal++) act_on(signal, SIG_DFL, 0);
        act_on(SIGUSR1, handle, 0);
        act_on(SIGUSR2, handle, SA_RESTART);
        act_on(SIGRTMIN, handle, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        live(0);
    }
    desks[actor].pid = pid;
}

/* Takes the object away when the director is killed. */
static pid_t guard;
static void begin_guard(const char *before) {
    pid_t director = getpid();
    sigset_t end;
    int signal;
    guard = fork();
    if (guard != 0) return;
    for (int fd = 0; fd < 64; fd++)
        if (!before[fd]) close(fd);
    setsid();
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == director) sigwait(&end, &signal);
    tear_down();
    _exit(0);
}

static void end(int status) {
    for (int actor = 0; actor < MOST_ACTORS; actor++)
        if (desks[actor].pid > 0) {
            kill(desks[actor].pid, SIGKILL);
            waitpid(desks[actor].pid, NULL, 0);
        }
    tear_down();
    if (guard > 0) {
        kill(guard, SIGKILL);
        waitpid(guard, NULL, 0);
    }
    exit(status);
}

static int read_text(pid_t pid, const char *file, char *text, int size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_RDONLY);
    int length = fd < 0 ? -1 : (int)read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[length > 0 ? length : 0] = 0;
    return length;
}

/* Whether an actor has ended or is stopped: a word for it, and with what. */
static const char *ended(int actor, int *with) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_PID, desks[actor].pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0
        || info.si_pid == 0)
        return NULL;
    *with = info.si_status;
    if (info.si_code == CLD_EXITED) return "exited with";
    /* As a status of waitpid tells of a stop; no signal has that number. */
    if (info.si_status == 0x7f) return "stopped";
    return info.si_code == CLD_STOPPED ? "stopped" : "killed by";
}

/* Whether an actor does not move, in words that are the same as long as it
   does not; proof is 0 where /proc does not say it. */
static int at_rest(int actor, char *words, int size, int *proof) {
    struct desk *desk = &desks[actor];
    char text[512];
    const char *how;
    int with = 0;
    memset(words, 0, size);
    if (desk->pid == 0) return 1;
    if ((how = ended(actor, &with)) != NULL) {
        snprintf(words, size, "%s %d", how, with);
        return 1;
    }
    if (read_text(desk->pid, "stat", text, sizeof text) > 0) {
        char *state = strrchr(text, ')');
        if (state == NULL || strlen(state) < 3 || state[2] != 'S') return 0;
    } else {
        *proof = 0;
    }
    if (read_text(desk->pid, "syscall", text, sizeof text) <= 0) *proof = 0;
    if (strncmp(text, "running", 7) == 0) return 0;
    snprintf(words, size, "%u %u %s", atomic_load(&desk->done), atomic_load(&desk->handled), text);
    return 1;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

/* Waits until nobody has moved for so many milliseconds, and is proved to
   sleep; where nothing proves it, for longer. */
static void wait_for_rest(int calm) {
    static char words[MOST_ACTORS][256], before[MOST_ACTORS][256];
    double since = now(), limit = since + 10e3;
    memset(before, 0, sizeof before);
    for (int same = 0;; same++) {
        int rest = 1, proof = 1;
        for (int actor = 0; actor < MOST_ACTORS; actor++)
            rest &= at_rest(actor, words[actor], sizeof words[actor], &proof);
        if (!rest || memcmp(words, before, sizeof words) != 0) {
            memcpy(before, words, sizeof words);
            same = -1;
            since = now();
        }
        if (same >= 2 && now() - since >= (proof ? calm : calm + 20)) return;
        if (now() > limit) {
            printf("the actors do not come to rest\n");
            end(2);
        }
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

static const char *error_name(int error) {
    static char other[32];
    switch (error) {
ERRORS
    }
    snprintf(other, sizeof other, "errno %d", error);
    return other;
}

/* What came of an actor since the last look: "3", "EAGAIN", "asleep", "-" for
   nothing, and after it the handlers that ran. Whether it is an answer. */
static int look(int actor, char *text, int size) {
    static unsigned shown[MOST_ACTORS];
    struct desk *desk = &desks[actor];
    unsigned done = atomic_load(&desk->done), handled = atomic_exchange(&desk->handled, 0);
    const char *how;
    int with = 0, answered = 0, length;
    if (desk->pid == 0) {
        length = snprintf(text, size, "-");
    } else if ((how = ended(actor, &with)) != NULL) {
        length = snprintf(text, size, how[0] == 's' ? "%s" : "%s %d", how, with);
    } else if (done != atomic_load(&desk->bell)) {
        length = snprintf(text, size, "asleep");
    } else if (done == shown[actor]) {
        length = snprintf(text, size, "-");
    } else {
        answered = 1;
        shown[actor] = done;
        length = desk->error ? snprintf(text, size, "%s", error_name(desk->error))
                             : snprintf(text, size, "%ld", desk->result);
    }
    for (unsigned at = 0; at < handled && at < 16; at++) {
        length += snprintf(text + length, size - length, " + handler %d", desk->signals[at]);
        if (desk->queued[at])
            length += snprintf(text + length, size - length, " value %d", desk->values[at]);
    }
    return answered;
}

/* A process id as the number of the actor that has it, -1 for the director. */
static const char *as_actor(const char *got) {
    static char number[16];
    long pid = strtol(got, NULL, 10);
    if (pid == getpid()) return "-1";
    for (int actor = 0; actor < MOST_ACTORS; actor++)
        if (pid > 0 && pid == desks[actor].pid) {
            snprintf(number, sizeof number, "%d", actor);
            return number;
        }
    return NULL;
}

/* Whether this is one of what is expected: "3 or EINTR", or "any"; where a
   process id is told, an actor is expected. */
static int fits(const char *expected, const char *got) {
    const char *actor = as_actor(got);
    if (strcmp(expected, "any") == 0 || (actor != NULL && strcmp(expected, actor) == 0)) return 1;
    for (;;) {
        const char *other = strstr(expected, " or ");
        size_t length = other ? (size_t)(other - expected) : strlen(expected);
        if (length == strlen(got) && strncmp(expected, got, length) == 0) return 1;
        if (other == NULL) return 0;
        expected = other + 4;
    }
}

int main(void) {
    static char was[MOST_ACTORS][512], got[MOST_ACTORS][512];
    char before[64];
    int answered[MOST_ACTORS], shared = MAP_SHARED | MAP_ANONYMOUS;
    setvbuf(stdout, NULL, _IONBF, 0);
    desks = mmap(NULL, sizeof *desks * MOST_ACTORS, PROT_READ | PROT_WRITE, shared, -1, 0);
    if (desks == MAP_FAILED) return 2;
    for (int fd = 0; fd < 64; fd++) before[fd] = fcntl(fd, F_GETFD) >= 0;
    set_up();
    if (OUTLIVES) begin_guard(before);
    for (int actor = 0; actor < FIRST_ACTORS; actor++) first_actor(actor);
    /* What set_up opened, the actors alone have open. */
    for (int fd = 0; fd < 64; fd++)
        if (!before[fd]) close(fd);
    wait_for_rest(1);
    for (int number = 1; number <= STEPS; number++) {
        const struct step *step = &steps[number - 1];
        if (step->actor == DIRECTOR) {
            printf("step %3d  director %s  ", number, step->call);
            make_step(number);
        } else {
            struct desk *desk = &desks[step->actor];
            printf("step %3d  actor %d  %s  ", number, step->actor, step->call);
            atomic_store(&desk->bell, number);
            syscall(SYS_futex, &desk->bell, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
        }
        wait_for_rest(step->calm);
        for (int actor = 0; actor < MOST_ACTORS; actor++)
            answered[actor] = look(actor, got[actor], sizeof got[actor]);
        if (step->actor == DIRECTOR) printf("\n");
        else printf("= %s\n", got[step->actor]);
        for (int actor = 0; actor < MOST_ACTORS; actor++) {
            const char *news = strncmp(got[actor], "- + ", 4) == 0 ? got[actor] + 4 : got[actor];
            if (actor != step->actor && strcmp(news, was[actor]) != 0 && strcmp(news, "-") != 0)
                printf("          actor %d  %s%s\n", actor, answered[actor] ? "woke: " : "", news);
            memcpy(was[actor], got[actor], sizeof was[actor]);
        }
        for (int actor = 0; actor < MOST_ACTORS; actor++)
            if (!fits(step->expected[actor], got[actor])) {
                printf("differs at step %d: actor %d: expected %s, got %s\n", number, actor,
                    step->expected[actor], got[actor]);
                end(1);
            }
    }
    printf("as expected\n");
    end(0);
}
