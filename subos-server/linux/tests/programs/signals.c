/* Signals: information, alternative stack, masks, restart, interval timer, faults, wait status. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count;
static char *page;
static char stack[65536];
static sigjmp_buf back;

static void counted(int signal)
{
    (void)signal;
    count++;
}

static void informed(int signal, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    int here;
    printf("signal %d code %d from self %d, on the alternative stack %d, mask %d\n", signal, info->si_code,
           info->si_pid == getpid(), (char *)&here >= stack && (char *)&here < stack + sizeof stack,
           sigismember(&user->uc_sigmask, SIGUSR2));
}

static void faulted(int signal, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d code %d at our page %d\n", signal, info->si_code, (char *)info->si_addr == page + 5);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void lost(int signal, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d code %d at %p\n", signal, info->si_code, info->si_addr);
    siglongjmp(back, 1);
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
    sigaction(signal, &action, NULL);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&alternative, NULL);
    install(SIGUSR1, informed, SA_ONSTACK);
    double before = 1.5;
    kill(getpid(), SIGUSR1);
    printf("floating point survives: %.1f\n", before * 2);

    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGUSR2, counted);
    raise(SIGUSR2);
    raise(SIGUSR2);
    sigpending(&set);
    printf("held back %d, pending %d\n", count, sigismember(&set, SIGUSR2));
    sigsuspend(&old);
    printf("after sigsuspend %d\n", count);
    sigprocmask(SIG_SETMASK, &old, NULL);

    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(SIGSEGV, faulted, 0);
    page[5] = 7;
    printf("written after the fault: %d\n", page[5]);
    install(SIGSEGV, lost, SA_NODEFER);
    if (!sigsetjmp(back, 1))
        *(volatile int *)8 = 1;

    /* A timer interrupts a sleep, and a read that restarts. */
    count = 0;
    struct sigaction action = { .sa_handler = counted, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = { { 0, 30000 }, { 0, 30000 } };
    setitimer(ITIMER_REAL, &timer, NULL);
    struct timespec nap = { 5, 0 }, rest;
    int slept = nanosleep(&nap, &rest);
    printf("sleep cut short %d, errno %d, rest plausible %d\n", slept, slept ? errno : 0, rest.tv_sec == 4);
    int ends[2];
    if (pipe(ends))
        return 1;
    if (fork() == 0) {
        usleep(200000);
        if (write(ends[1], "x", 1) != 1)
            _exit(1);
        _exit(9);
    }
    char byte;
    printf("a read restarts: %zd %c\n", read(ends[0], &byte, 1), byte);
    memset(&timer, 0, sizeof timer);
    setitimer(ITIMER_REAL, &timer, NULL);
    printf("the timer rang often: %d\n", count >= 3);
    struct pollfd polled = { ends[0], POLLIN, 0 };
    printf("nothing to read: %d\n", poll(&polled, 1, 20));
    int status;
    wait(&status);
    printf("the child exited %d with %d\n", WIFEXITED(status), WEXITSTATUS(status));

    if (fork() == 0)
        abort();
    wait(&status);
    printf("killed by %d\n", WTERMSIG(status));
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    printf("broken pipe: %zd %d\n", write(ends[1], "x", 1), errno == EPIPE);
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    printf("stopped by %d\n", WSTOPSIG(status));
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    printf("continued %d\n", WIFCONTINUED(status));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("killed by %d\n", WTERMSIG(status));
    return 0;
}
