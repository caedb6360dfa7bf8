/*
 * Moves the wall clock of one process, and nothing else: the monotonic clock, timers and sleeps stay.
 * The offset is a number of nanoseconds in a file that everybody who shares it has mapped, so it can change at any time.
 * Waits with a deadline on the wall clock get it translated, or they would last as long as the offset.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
/* A deadline below this many seconds is one on the monotonic clock: the wall clock passed it in 2001. */
#define WALL 1000000000LL

static const volatile int64_t *shared_offset;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BUS_CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (at != MAP_FAILED)
        shared_offset = at;
}

static int64_t offset(void)
{
    return shared_offset ? __atomic_load_n(shared_offset, __ATOMIC_RELAXED) : 0;
}

static void move(struct timespec *time, int64_t by)
{
    int64_t all = time->tv_sec * SECOND + time->tv_nsec + by;
    time->tv_sec = all / SECOND;
    time->tv_nsec = all % SECOND;
}

static void real_time(struct timespec *now)
{
    syscall(SYS_clock_gettime, CLOCK_REALTIME, now);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real ? real(clock, now) : (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        move(now, offset());
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec moved;
    real_time(&moved);
    move(&moved, offset());
    now->tv_sec = moved.tv_sec;
    now->tv_usec = moved.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec moved;
    real_time(&moved);
    move(&moved, offset());
    if (out)
        *out = moved.tv_sec;
    return moved.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    if (base != TIME_UTC)
        return 0;
    real_time(now);
    move(now, offset());
    return base;
}

/* The real deadline behind one that was computed from the moved clock. */
static const struct timespec *translated(const struct timespec *deadline, struct timespec *real)
{
    if (!deadline || deadline->tv_sec < WALL)
        return deadline;
    *real = *deadline;
    move(real, -offset());
    return real;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict deadline)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec moved;
    if (!real)
        real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(
            RTLD_NEXT, "pthread_cond_timedwait");
    return real(cond, mutex, translated(deadline, &moved));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict deadline)
{
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    struct timespec moved;
    if (!real)
        real = (int (*)(pthread_mutex_t *, const struct timespec *))dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    return real(mutex, translated(deadline, &moved));
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict deadline)
{
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec moved;
    if (!real)
        real = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    return real(semaphore, translated(deadline, &moved));
}
