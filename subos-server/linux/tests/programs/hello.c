#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    printf("hello from %s, %d argument(s), LC_ALL=%s\n", argv[0], argc, getenv("LC_ALL"));
    char *copy = malloc(3000000);
    memset(copy, 'x', 3000000);
    printf("%c%c\n", copy[0], copy[2999999]);
    fprintf(stderr, "to the error stream\n");
    free(copy);
    return 3;
}
