/* Lets the n-th allocation, or the n-th call on a file below a folder, fail in this process: for LD_PRELOAD, on Linux with
   glibc. failures.py says which n, through the functions at the end.

   Allocations are counted if the call comes from chosen ranges of code, so that it is known whose failure is tested. Calls
   on files are counted if the file was opened by a name below the folder. A call of `close` that fails has closed the file. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FILES = 4096, MOST_RANGES = 64 };

static long counted, failing, to_end; /* calls seen; the one that fails; whether all later ones fail too */
static int allocations, error;        /* what is counted: allocations, or calls on files, which fail with this errno */
static char folder[1024];
static unsigned char watched[MOST_FILES];
static uintptr_t ranges[2 * MOST_RANGES];
static int number_of_ranges;

static int fails(void) {
    long number = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    return number == failing || (to_end && number > failing);
}

/* ---------------------------------------------------------------- memory */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static int no_memory(void *caller) {
    if (!allocations)
        return 0;
    for (int i = 0; i < number_of_ranges; i++)
        if ((uintptr_t)caller >= ranges[2 * i] && (uintptr_t)caller < ranges[2 * i + 1]) {
            if (!fails())
                return 0;
            errno = ENOMEM;
            return 1;
        }
    return 0;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) { return no_memory(CALLER) ? NULL : __libc_malloc(size); }
void *calloc(size_t number, size_t size) { return no_memory(CALLER) ? NULL : __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { return no_memory(CALLER) ? NULL : __libc_realloc(old, size); }
void *memalign(size_t line, size_t size) { return no_memory(CALLER) ? NULL : __libc_memalign(line, size); }
void *aligned_alloc(size_t line, size_t size) { return no_memory(CALLER) ? NULL : __libc_memalign(line, size); }
int posix_memalign(void **place, size_t line, size_t size) {
    if (no_memory(CALLER))
        return ENOMEM;
    *place = __libc_memalign(line, size);
    return *place == NULL ? ENOMEM : 0;
}

/* ---------------------------------------------------------------- files */

static int below(const char *path) { return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0; }
static int is_watched(int file) { return file >= 0 && file < MOST_FILES && watched[file]; }

static int refused(int concerned) {
    if (allocations || !concerned || !failing || !fails())
        return 0;
    errno = error;
    return 1;
}

/* As `refused`, of a call that takes no space: a full disk, which lets all later calls fail, does not matter to it. */
static int refused_once(int concerned) { return !to_end && refused(concerned); }

static int refuses(int concerned, int flags) {
    return flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? refused(concerned) : refused_once(concerned);
}

static int keep(int file, int concerned) {
    if (file >= 0 && file < MOST_FILES)
        watched[file] = concerned;
    return file;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name)) /* the function that this file puts itself before */

static int mode_of(int flags, va_list *rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(*rest, int) : 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        int mode = mode_of(flags, &rest); \
        va_end(rest); \
        return refuses(below(path), flags) ? -1 : keep(REAL(name)(path, flags, mode), below(path)); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        int mode = mode_of(flags, &rest); \
        va_end(rest); \
        return refuses(below(path), flags) ? -1 : keep(REAL(name)(at, path, flags, mode), below(path)); \
    }
OPENAT(openat)
OPENAT(openat64)

#define ON_FILE(type, name, refuses, arguments, ...) \
    type name arguments { return refuses(is_watched(file)) ? -1 : REAL(name)(__VA_ARGS__); }
ON_FILE(ssize_t, write, refused, (int file, const void *data, size_t size), file, data, size)
ON_FILE(ssize_t, pwrite, refused, (int file, const void *data, size_t size, off_t at), file, data, size, at)
ON_FILE(ssize_t, pwrite64, refused, (int file, const void *data, size_t size, off64_t at), file, data, size, at)
ON_FILE(ssize_t, writev, refused, (int file, const struct iovec *parts, int number), file, parts, number)
ON_FILE(ssize_t, read, refused_once, (int file, void *data, size_t size), file, data, size)
ON_FILE(ssize_t, pread, refused_once, (int file, void *data, size_t size, off_t at), file, data, size, at)
ON_FILE(ssize_t, pread64, refused_once, (int file, void *data, size_t size, off64_t at), file, data, size, at)
ON_FILE(int, fsync, refused, (int file), file)
ON_FILE(int, fdatasync, refused, (int file), file)
ON_FILE(int, ftruncate, refused, (int file, off_t size), file, size)
ON_FILE(int, ftruncate64, refused, (int file, off64_t size), file, size)
ON_FILE(int, fchmod, refused_once, (int file, mode_t mode), file, mode)
ON_FILE(off_t, lseek, refused_once, (int file, off_t at, int from), file, at, from)
ON_FILE(off64_t, lseek64, refused_once, (int file, off64_t at, int from), file, at, from)

int close(int file) {
    int no = refused(is_watched(file));
    keep(file, 0);
    int result = REAL(close)(file);
    return no ? (errno = error, -1) : result;
}

int dup(int file) { return refused_once(is_watched(file)) ? -1 : keep(REAL(dup)(file), is_watched(file)); }

void *mmap(void *at, size_t size, int rights, int flags, int file, off_t offset) {
    return refused_once(is_watched(file)) ? MAP_FAILED : REAL(mmap)(at, size, rights, flags, file, offset);
}
void *mmap64(void *at, size_t size, int rights, int flags, int file, off64_t offset) {
    return refused_once(is_watched(file)) ? MAP_FAILED : REAL(mmap64)(at, size, rights, flags, file, offset);
}

#define ON_PATH(name, arguments, ...) \
    int name arguments { return refused_once(below(path)) ? -1 : REAL(name)(__VA_ARGS__); }
ON_PATH(rename, (const char *path, const char *to), path, to)
ON_PATH(renameat, (int at, const char *path, int to_at, const char *to), at, path, to_at, to)
ON_PATH(renameat2, (int at, const char *path, int to_at, const char *to, unsigned flags), at, path, to_at, to, flags)
ON_PATH(chmod, (const char *path, mode_t mode), path, mode)
ON_PATH(fchmodat, (int at, const char *path, mode_t mode, int flags), at, path, mode, flags)

/* ---------------------------------------------------------------- what is to fail */

void failing_watch(const char *below_here, const uintptr_t *code, int number) {
    snprintf(folder, sizeof folder, "%s", below_here);
    number_of_ranges = number < MOST_RANGES ? number : MOST_RANGES;
    memcpy(ranges, code, 2 * number_of_ranges * sizeof *ranges);
}

void failing_begin(int memory, long number, int all_later, int number_of_error) {
    counted = 0;
    to_end = all_later;
    error = number_of_error;
    failing = number;
    allocations = memory;
}

long failing_end(void) {
    allocations = 0;
    failing = 0;
    return counted;
}
