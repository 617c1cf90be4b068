/* What all tests share: checks, and waiting for what other tasks change. */
#ifndef COMMON_H
#define COMMON_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long anything may take, in seconds: a loaded machine is slow. */
#define PATIENCE 240

#define CHECK(what)                                                                  \
    do {                                                                             \
        if (!(what)) {                                                               \
            fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                                 \
        }                                                                            \
    } while (0)

/* A lock, and who waits for changes behind it. */
typedef struct {
    const char *name;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} monitor_t;

static inline void monitor_init(monitor_t *monitor, const char *name) {
    monitor->name = name;
    CHECK(pthread_mutex_init(&monitor->lock, NULL) == 0);
    CHECK(pthread_cond_init(&monitor->changed, NULL) == 0);
}

static inline void monitor_free(monitor_t *monitor) {
    pthread_cond_destroy(&monitor->changed);
    pthread_mutex_destroy(&monitor->lock);
}

static inline void monitor_lock(monitor_t *monitor) { CHECK(pthread_mutex_lock(&monitor->lock) == 0); }

static inline void monitor_unlock(monitor_t *monitor) { CHECK(pthread_mutex_unlock(&monitor->lock) == 0); }

/* To be called with the lock, by whoever changes something. */
static inline void monitor_changed(monitor_t *monitor) { CHECK(pthread_cond_broadcast(&monitor->changed) == 0); }

/* Waits, with the lock, for a change or for so many milliseconds. */
static inline void monitor_wait(monitor_t *monitor, int ms) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&monitor->changed, &monitor->lock, &until);
}

/* Waits, without the lock, until something holds. */
#define AWAIT(monitor, what)                                    \
    do {                                                        \
        time_t began = time(NULL);                              \
        monitor_lock(monitor);                                  \
        while (!(what)) {                                       \
            if (time(NULL) - began > PATIENCE) {                \
                fprintf(stderr, "at %s, ", (monitor)->name);    \
                CHECK(what);                                    \
            }                                                   \
            monitor_wait(monitor, 1000);                        \
        }                                                       \
        monitor_unlock(monitor);                                \
    } while (0)

/* A packet of sound, as it is sent. */
#define SOUND "sound"
#define SOUND_SIZE 5

#define PICTURE_SIZE 3000

/* A picture: parameter sets and a slice of a key frame. */
static inline void fill_picture(uint8_t *picture) {
    static const uint8_t head[] = {0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x96, 0, 0,
                                   0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65};
    memset(picture, 0x5b, PICTURE_SIZE);
    memcpy(picture, head, sizeof head);
}

#endif
