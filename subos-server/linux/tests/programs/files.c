/* Descriptors: dup, fcntl, select, poll, vectors, socketpair, eventfd, splitting offsets, directories, errors. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(const char *what, long value)
{
    printf("%s: %ld\n", what, value);
}

#define FAILS(call) check(#call, (call) == -1 ? errno : 0)

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (!getenv("LC_ALL"))
        return 42;
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640);
    struct iovec vector[2] = { { "ab", 2 }, { "cde", 3 } };
    check("writev", writev(fd, vector, 2));
    int twin = dup(fd);
    check("one offset for both", lseek(twin, 0, SEEK_CUR));
    check("append", fcntl(fd, F_SETFL, O_APPEND));
    check("shared by the twin", (fcntl(twin, F_GETFL) & O_APPEND) != 0);
    check("lowest from 50", fcntl(fd, F_DUPFD_CLOEXEC, 50));
    check("closes on exec", fcntl(50, F_GETFD));
    struct stat status;
    fstat(fd, &status);
    check("mode", status.st_mode);
    check("size", status.st_size);
    FAILS(open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
    FAILS(open("file/x", O_RDONLY));
    FAILS(open("none/x", O_CREAT | O_RDWR, 0600));
    FAILS(open(".", O_WRONLY));
    FAILS(read(99, &status, 1));
    FAILS(mkdir("file", 0700));
    FAILS(rmdir("file"));
    FAILS(unlink("."));
    FAILS(dup2(fd, 100000));
    FAILS(rename("none", "other"));
    FAILS(chdir("file"));
    FAILS(readlink("file", (char *)&status, sizeof status));

    int pair[2];
    check("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    check("sent", write(pair[0], "ping", 4));
    fd_set reading;
    FD_ZERO(&reading);
    FD_SET(pair[0], &reading);
    FD_SET(pair[1], &reading);
    struct timeval short_time = { 0, 1000 };
    check("select", select(pair[0] > pair[1] ? pair[0] + 1 : pair[1] + 1, &reading, NULL, NULL, &short_time));
    check("only the other side", FD_ISSET(pair[1], &reading) && !FD_ISSET(pair[0], &reading));
    char text[16] = { 0 };
    check("received", read(pair[1], text, sizeof text));
    int event = eventfd(3, EFD_NONBLOCK);
    uint64_t number = 4;
    check("event", write(event, &number, 8));
    check("event read", read(event, &number, 8));
    check("sum", (long)number);
    check("event empty", read(event, &number, 8) == -1 ? errno : 0);
    struct pollfd polled[3] = { { pair[0], POLLOUT, 0 }, { event, POLLIN, 0 }, { -1, POLLIN, 0 } };
    check("poll", poll(polled, 3, 0));
    close(pair[1]);
    polled[0].events = POLLIN;
    check("poll", poll(polled, 1, 0));
    check("hung up", (polled[0].revents & POLLHUP) != 0);

    mkdir("d", 0755);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/entry-%03d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    struct dirent **names;
    int count = scandir("d", &names, NULL, by_name);
    check("entries", count);
    printf("%s %s %s\n", names[0]->d_name, names[2]->d_name, names[count - 1]->d_name);
    DIR *directory = opendir("d");
    struct dirent *entry;
    int removed = 0;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            removed += unlinkat(dirfd(directory), entry->d_name, 0) == 0;
    check("removed while listing", removed);
    closedir(directory);
    check("empty", rmdir("d"));

    pid_t child;
    char *arguments[] = { "program", NULL }, *environment[] = { NULL };
    check("spawn", posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environment));
    int ended;
    waitpid(child, &ended, 0);
    check("it answers", WEXITSTATUS(ended));
    return fd;
}
