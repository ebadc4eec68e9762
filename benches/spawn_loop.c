/* The limit: a bare posix_spawn loop. Prints the instant at which it began. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

int main(int argc, char **argv) {
    int count = atoi(argv[1]);
    char *program[] = {argv[2], argv[3], NULL}, *environment[] = {NULL};
    struct timespec now;
    pid_t pid;

    (void)argc;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < count; i++)
        if (posix_spawn(&pid, program[0], NULL, NULL, program, environment))
            return 1;
    printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    while (wait(NULL) > 0)
        ;
    return 0;
}
