/* Memory: private and shared maps, fork's copies, mremap, holes, files, stack growth, refusals. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long deep(int depth)
{
    volatile char room[4000];
    room[0] = (char)depth;
    return depth ? deep(depth - 1) + room[0] : 0;
}

static void check(const char *what, long value)
{
    printf("%s: %ld\n", what, value);
}

int main(void)
{
    const int rw = PROT_READ | PROT_WRITE;
    char *own = mmap(NULL, 8 * 4096, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, 4096, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 8; i++)
        own[i * 4096] = (char)('a' + i);
    fflush(stdout);
    if (fork() == 0) {
        own[0] = 'z';
        shared[0] = 's';
        _exit(own[4096]);
    }
    int status;
    wait(&status);
    check("the child saw", WEXITSTATUS(status));
    check("ours is ours", own[0]);
    check("shared is shared", shared[0]);

    own = mremap(own, 8 * 4096, 64 * 4096, MREMAP_MAYMOVE);
    check("moved with its contents", own[7 * 4096]);
    check("and zeros behind", own[63 * 4096]);
    check("a hole", munmap(own + 4096, 4096));
    check("beside the hole", own[2 * 4096]);
    check("discard", madvise(own + 2 * 4096, 4096, MADV_DONTNEED));
    check("reads as zero", own[2 * 4096]);

    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    check("written", write(fd, "0123456789", 10));
    char *view = mmap(NULL, 4096, rw, MAP_SHARED, fd, 0);
    char *copy = mmap(NULL, 4096, rw, MAP_PRIVATE, fd, 0);
    view[0] = 'X';
    copy[1] = 'Y';
    char bytes[11] = { 0 };
    check("read back", pread(fd, bytes, 10, 0));
    printf("%s %c%c\n", bytes, copy[0], copy[1]);
    check("beyond the end is zero", view[10]);
    check("longer", ftruncate(fd, 5000));
    check("the hole reads", pread(fd, bytes, 1, 4500));
    check("a sparse end", lseek(fd, 1000000, SEEK_SET));
    check("written there", write(fd, "e", 1));
    check("size", lseek(fd, 0, SEEK_END));

    check("deep recursion", deep(1500));
    errno = 0;
    check("write to a wild address", write(1, (void *)0x7000000000, 4));
    check("is EFAULT", errno == EFAULT);
    check("a map of nothing", mmap(NULL, 0, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    check("all of memory", mmap(NULL, 1UL << 46, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ? 1 : errno == ENOMEM);
    /* The call itself: musl's sbrk refuses. */
    long end = syscall(SYS_brk, 0);
    check("brk", syscall(SYS_brk, end + 100000) == end + 100000);
    memset((char *)end, 1, 100000);
    check("back", syscall(SYS_brk, end) == end);
    return 0;
}
