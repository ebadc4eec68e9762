/* Clocks that a test can set, for every program of one machine: preloaded, it adds to the wall clock (CLOCK_REALTIME) and to
 * the monotonic one the nanoseconds that the file CLOCKS holds, two 64-bit numbers. Alarms on the wall clock are set back by as
 * much, so that they go off when the shifted clock says so. What the kernel does when a clock is set, waking those who wait
 * with TFD_TIMER_CANCEL_ON_SET, it cannot do: a test wakes the daemon by asking it something. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shifts;

__attribute__((constructor)) static void begin(void) {
    int file = open(CLOCKS, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    void *page = mmap(0, 2 * sizeof *shifts, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        shifts = page;
    close(file);
}

static void add(struct timespec *time, int64_t nanoseconds) {
    int64_t sum = time->tv_nsec + nanoseconds % 1000000000;
    time->tv_sec += nanoseconds / 1000000000 + (sum >= 1000000000) - (sum < 0);
    time->tv_nsec = (sum + 1000000000) % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original)
        original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = original(clock, time);
    if (result == 0 && shifts && clock == CLOCK_REALTIME)
        add(time, shifts[0]);
    if (result == 0 && shifts && clock == CLOCK_MONOTONIC)
        add(time, shifts[1]);
    return result;
}

int timerfd_settime(int timer, int flags, const struct itimerspec *new, struct itimerspec *old) {
    static int (*original)(int, int, const struct itimerspec *, struct itimerspec *);
    if (!original)
        original = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))dlsym(RTLD_NEXT, "timerfd_settime");
    struct itimerspec shifted = *new;
    if (shifts && (flags & TFD_TIMER_ABSTIME) && (flags & TFD_TIMER_CANCEL_ON_SET))
        add(&shifted.it_value, -shifts[0]);
    return original(timer, flags, &shifted, old);
}
