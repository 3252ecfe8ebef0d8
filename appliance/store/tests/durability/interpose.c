/* Logs what a process does to the files below one directory, in the order in which it takes
 * effect; on request lets writes and syncs there fail.
 *
 * LAMPLIGHT_TRACE_ROOT   the directory, absolute
 * LAMPLIGHT_TRACE_LOG    where the log goes (optional)
 * LAMPLIGHT_TRACE_FAULT  while this file exists writes fail: with ENOSPC, or, if it is executable,
 *                        with EIO, and syncs with them (optional)
 *
 * One line per event, fields apart by a tab; W is followed by its bytes:
 *   O handle truncated path | W handle offset length | T handle size | S handle
 *   R from to | U path | M path
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { long handle; int append; char path[512]; } files[MAX_FD];
static long next_handle = 1;
static int log_fd = -1;
static const char *root, *fault;
static size_t root_length;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static ssize_t plain_write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    return real(fd, bytes, length);
}

__attribute__((constructor)) static void start(void) {
    root = getenv("LAMPLIGHT_TRACE_ROOT");
    fault = getenv("LAMPLIGHT_TRACE_FAULT");
    root_length = root ? strlen(root) : 0;
    const char *log = getenv("LAMPLIGHT_TRACE_LOG");
    REAL(int, open, const char *, int, ...);
    if (log) log_fd = real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const char *bytes, size_t length) {
    while (log_fd >= 0 && length > 0) {
        ssize_t done = plain_write(log_fd, bytes, length);
        if (done < 0) abort();
        bytes += done;
        length -= (size_t)done;
    }
}

__attribute__((format(printf, 1, 2))) static void event(const char *format, ...) {
    char line[2 * PATH_MAX + 64];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put(line, (size_t)length);
}

static int is_inside(const char *path) {
    return root && strncmp(path, root, root_length) == 0
        && (path[root_length] == '/' || path[root_length] == 0);
}

/* The absolute path, if it is inside. */
static const char *resolve(int dir, const char *path, char *buffer) {
    if (path[0] == '/') snprintf(buffer, PATH_MAX, "%s", path);
    else if (dir >= 0 && dir < MAX_FD && files[dir].handle)
        snprintf(buffer, PATH_MAX, "%s/%s", files[dir].path, path);
    else return NULL;
    return is_inside(buffer) ? buffer : NULL;
}

static int is_broken(void) { return fault && access(fault, X_OK) == 0; }
static int is_full(void) { return fault && access(fault, F_OK) == 0; }
static ssize_t refuse(void) { errno = is_broken() ? EIO : ENOSPC; return -1; }

static int tracked(int fd) { return fd >= 0 && fd < MAX_FD && files[fd].handle != 0; }

static void opened(int dir, const char *path, int flags, int fd) {
    if (fd < 0 || fd >= MAX_FD) return;
    char buffer[PATH_MAX];
    const char *inside = resolve(dir, path, buffer);
    if (!inside) { files[fd].handle = 0; return; }
    files[fd].handle = next_handle++;
    files[fd].append = (flags & O_APPEND) != 0;
    snprintf(files[fd].path, sizeof files[fd].path, "%s", inside);
    event("O\t%ld\t%d\t%s\n", files[fd].handle, (flags & O_TRUNC) != 0, inside);
}

#define OPEN_BODY(call) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list a; va_start(a, flags); mode = va_arg(a, mode_t); va_end(a); } \
    pthread_mutex_lock(&lock); \
    int fd = call; \
    int saved = errno; \
    opened(dir, path, flags, fd); \
    pthread_mutex_unlock(&lock); \
    errno = saved; \
    return fd;

int open(const char *path, int flags, ...) {
    REAL(int, open, const char *, int, ...); int dir = AT_FDCWD; OPEN_BODY(real(path, flags, mode)) }
int open64(const char *path, int flags, ...) {
    REAL(int, open64, const char *, int, ...); int dir = AT_FDCWD; OPEN_BODY(real(path, flags, mode)) }
int openat(int dir, const char *path, int flags, ...) {
    REAL(int, openat, int, const char *, int, ...); OPEN_BODY(real(dir, path, flags, mode)) }
int openat64(int dir, const char *path, int flags, ...) {
    REAL(int, openat64, int, const char *, int, ...); OPEN_BODY(real(dir, path, flags, mode)) }

int close(int fd) {
    REAL(int, close, int);
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MAX_FD) files[fd].handle = 0;
    int result = real(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

int closedir(DIR *stream) {
    REAL(int, closedir, DIR *);
    int fd = dirfd(stream);
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MAX_FD) files[fd].handle = 0;
    int result = real(stream);
    pthread_mutex_unlock(&lock);
    return result;
}

static void written(int fd, off64_t offset, const char *bytes, ssize_t length) {
    if (length <= 0) return;
    event("W\t%ld\t%lld\t%zd\n", files[fd].handle, (long long)offset, length);
    put(bytes, (size_t)length);
}

static off64_t position(int fd) {
    struct stat found;
    if (files[fd].append && fstat(fd, &found) == 0) return found.st_size;
    return lseek64(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!tracked(fd)) return plain_write(fd, bytes, length);
    if (is_full()) return refuse();
    pthread_mutex_lock(&lock);
    off64_t offset = position(fd);
    ssize_t done = plain_write(fd, bytes, length);
    int saved = errno;
    written(fd, offset, bytes, done);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (!tracked(fd)) return real(fd, parts, count);
    return count > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0;
}

#define PWRITE_BODY \
    if (!tracked(fd)) return real(fd, bytes, length, offset); \
    if (is_full()) return refuse(); \
    pthread_mutex_lock(&lock); \
    ssize_t done = real(fd, bytes, length, offset); \
    int saved = errno; \
    written(fd, offset, bytes, done); \
    pthread_mutex_unlock(&lock); \
    errno = saved; \
    return done;

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t); PWRITE_BODY }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t); PWRITE_BODY }

#define TRUNCATE_BODY \
    pthread_mutex_lock(&lock); \
    int result = real(fd, size); \
    int saved = errno; \
    if (result == 0 && tracked(fd)) event("T\t%ld\t%lld\n", files[fd].handle, (long long)size); \
    pthread_mutex_unlock(&lock); \
    errno = saved; \
    return result;

int ftruncate(int fd, off_t size) { REAL(int, ftruncate, int, off_t); TRUNCATE_BODY }
int ftruncate64(int fd, off64_t size) { REAL(int, ftruncate64, int, off64_t); TRUNCATE_BODY }

/* The system is not asked to sync: what is durable is what the log says. */
static int synced(int fd, int (*real)(int)) {
    if (!tracked(fd)) return real(fd);
    if (is_broken()) return (int)refuse();
    if (log_fd < 0) return real(fd);
    pthread_mutex_lock(&lock);
    event("S\t%ld\n", files[fd].handle);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { REAL(int, fsync, int); return synced(fd, real); }
int fdatasync(int fd) { REAL(int, fdatasync, int); return synced(fd, real); }

static int moved(int from_dir, const char *from, int to_dir, const char *to, int result) {
    char a[PATH_MAX], b[PATH_MAX];
    const char *inside_from = resolve(from_dir, from, a), *inside_to = resolve(to_dir, to, b);
    if (result == 0 && inside_from && inside_to) {
        event("R\t%s\t%s\n", inside_from, inside_to);
        size_t length = strlen(inside_from);
        for (int fd = 0; fd < MAX_FD; fd++) {
            char *path = files[fd].path, copy[512];
            if (!files[fd].handle || strncmp(path, inside_from, length) != 0
                || (path[length] != 0 && path[length] != '/')) continue;
            snprintf(copy, sizeof copy, "%.255s%.255s", inside_to, path + length);
            memcpy(path, copy, sizeof copy);
        }
    }
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    pthread_mutex_lock(&lock);
    int result = moved(AT_FDCWD, from, AT_FDCWD, to, real(from, to));
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

static int gone(int dir, const char *path, int result) {
    char buffer[PATH_MAX];
    int saved = errno;
    const char *inside = resolve(dir, path, buffer);
    if (result == 0 && inside) event("U\t%s\n", inside);
    errno = saved;
    return result;
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    pthread_mutex_lock(&lock);
    int result = gone(AT_FDCWD, path, real(path));
    pthread_mutex_unlock(&lock);
    return result;
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    pthread_mutex_lock(&lock);
    int result = gone(AT_FDCWD, path, real(path));
    pthread_mutex_unlock(&lock);
    return result;
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    pthread_mutex_lock(&lock);
    int result = gone(dir, path, real(dir, path, flags));
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    pthread_mutex_lock(&lock);
    int result = real(path, mode);
    int saved = errno;
    char buffer[PATH_MAX];
    const char *inside = resolve(AT_FDCWD, path, buffer);
    if (result == 0 && inside) event("M\t%s\n", inside);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
