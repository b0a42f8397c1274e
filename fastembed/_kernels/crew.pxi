"""A crew: threads that execute phases of numbered tasks together, without the GIL and without Python.

Member 0 leads: it opens a phase with a number of tasks, takes tasks itself, and returns when all are done. The others
take tasks of the open phase. Any member may run a task, so a task writes only to memory of the task or of the member.

The open phase is described by one integer, the ticket: the number of the phase, of its tasks, and of the tasks taken.
Taking a task adds 1 to it by compare-and-swap, so a late member can never take a task of a completed phase. A member
without a task spins for some microseconds, the time that the leader needs between two phases, and then sleeps on its
lock. The leader wakes members 1 and 2 when it opens a phase; member m wakes 2m + 1 and 2m + 2.
"""

from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock, PyThread_type_lock,
    WAIT_LOCK,
)
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free


cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    #define fastembed_load(p) _InterlockedOr64((volatile __int64*)(p), 0)
    #define fastembed_exchange(p, v) _InterlockedExchange64((volatile __int64*)(p), (__int64)(v))
    #define fastembed_add(p, v) _InterlockedExchangeAdd64((volatile __int64*)(p), (__int64)(v))
    #define fastembed_swap(p, old, new_) \\
        (_InterlockedCompareExchange64((volatile __int64*)(p), (__int64)(new_), (__int64)(old)) == (__int64)(old))
    #else
    #define fastembed_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define fastembed_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
    #define fastembed_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
    #define fastembed_swap(p, old, new_) __sync_bool_compare_and_swap((p), (old), (new_))
    #endif
    #if defined(__x86_64__) || defined(_M_X64)
    #include <immintrin.h>
    #define fastembed_pause() _mm_pause()
    #elif defined(__aarch64__) && defined(__GNUC__)
    #define fastembed_pause() __asm__ __volatile__("yield")
    #else
    #define fastembed_pause() ((void)0)
    #endif
    """
    uint64_t load_ticket "fastembed_load" (uint64_t* place) noexcept nogil
    int64_t load "fastembed_load" (int64_t* place) noexcept nogil
    uint64_t exchange_ticket "fastembed_exchange" (uint64_t* place, uint64_t value) noexcept nogil
    int64_t exchange "fastembed_exchange" (int64_t* place, int64_t value) noexcept nogil
    int64_t fetch_add "fastembed_add" (int64_t* place, int64_t value) noexcept nogil
    bint swap_ticket "fastembed_swap" (uint64_t* place, uint64_t old, uint64_t new) noexcept nogil
    void pause "fastembed_pause" () noexcept nogil


cdef enum:
    TASK_BITS = 24  # bits of the ticket for the number of tasks, and for the number taken; the rest counts phases
    SPINS = 1000    # pauses before a member sleeps: 10 to 50 microseconds

ctypedef void (*Task)(void* context, Py_ssize_t number, Py_ssize_t member) noexcept nogil


cdef struct Member:
    int64_t asleep
    PyThread_type_lock lock   # held except while its member is woken
    char[48] padding          # pads to a cache line


cdef struct Crew:
    uint64_t ticket
    char[56] padding
    int64_t done              # completed tasks of the phase
    char[56] more_padding
    int64_t closed
    Task task
    void* context
    Py_ssize_t size
    Member* members


cdef int form_crew(Crew* crew, Py_ssize_t size, Task task, void* context) except -1:
    """Make a crew of `size` members, to be freed by `disband_crew`, also after an exception here."""
    cdef Py_ssize_t m
    crew.task, crew.context, crew.size, crew.closed = task, context, 0, 1
    crew.members = <Member*>calloc(size, sizeof(Member))
    if crew.members == NULL:
        raise MemoryError
    for m in range(size):
        crew.members[m].lock = PyThread_allocate_lock()
        if crew.members[m].lock == NULL:
            raise MemoryError
        PyThread_acquire_lock(crew.members[m].lock, WAIT_LOCK)
        crew.size += 1
    return 0


cdef void disband_crew(Crew* crew) noexcept:
    cdef Py_ssize_t m
    for m in range(crew.size):
        PyThread_release_lock(crew.members[m].lock)
        PyThread_free_lock(crew.members[m].lock)
    free(crew.members)


cdef inline uint64_t tasks_of(uint64_t ticket) noexcept nogil:
    return ticket >> TASK_BITS & ((1 << TASK_BITS) - 1)


cdef inline uint64_t phase_of(uint64_t ticket) noexcept nogil:
    return ticket >> (2 * TASK_BITS)


cdef inline void wake(Crew* crew, Py_ssize_t member) noexcept nogil:
    if member < crew.size and exchange(&crew.members[member].asleep, 0):
        PyThread_release_lock(crew.members[member].lock)


cdef void take_tasks(Crew* crew, Py_ssize_t member) noexcept nogil:
    """Run tasks of the open phase until all are taken."""
    cdef uint64_t ticket, taken
    while True:
        ticket = load_ticket(&crew.ticket)
        taken = ticket & ((1 << TASK_BITS) - 1)
        if taken >= tasks_of(ticket):
            return
        if swap_ticket(&crew.ticket, ticket, ticket + 1):
            crew.task(crew.context, <Py_ssize_t>taken, member)
            if fetch_add(&crew.done, 1) + 1 == <int64_t>tasks_of(ticket):
                wake(crew, 0)


cdef inline bint has_ended(Crew* crew, uint64_t phase) noexcept nogil:
    """Whether a member other than the leader, which has seen this phase, has something new to look at."""
    return phase_of(load_ticket(&crew.ticket)) != phase or load(&crew.closed)


cdef inline bint is_done(Crew* crew, uint64_t tasks) noexcept nogil:
    return load(&crew.done) == <int64_t>tasks


cdef void await_news(Crew* crew, Py_ssize_t member, uint64_t number) noexcept nogil:
    """Wait: the leader for the end of the phase of `number` tasks, another member for that of phase `number`."""
    cdef Py_ssize_t spin = 0
    while not (has_ended(crew, number) if member else is_done(crew, number)):
        if spin < SPINS:
            spin += 1
            pause()
            continue
        exchange(&crew.members[member].asleep, 1)
        if (has_ended(crew, number) if member else is_done(crew, number)) and exchange(&crew.members[member].asleep, 0):
            return
        PyThread_acquire_lock(crew.members[member].lock, WAIT_LOCK)  # released by the thread that has seen `asleep`


cdef void run_phase(Crew* crew, Py_ssize_t tasks) noexcept nogil:
    """Lead the crew through tasks 0 to tasks - 1."""
    cdef uint64_t phase = phase_of(crew.ticket) + 1
    exchange(&crew.done, 0)
    exchange_ticket(&crew.ticket, phase << (2 * TASK_BITS) | <uint64_t>tasks << TASK_BITS)
    wake(crew, 1)
    wake(crew, 2)
    take_tasks(crew, 0)
    await_news(crew, 0, <uint64_t>tasks)


cdef void work_in_crew(Crew* crew, Py_ssize_t member) noexcept nogil:
    """Take tasks of all phases until the crew is closed."""
    cdef uint64_t phase
    while not load(&crew.closed):
        phase = phase_of(load_ticket(&crew.ticket))
        wake(crew, 2 * member + 1)
        wake(crew, 2 * member + 2)
        take_tasks(crew, member)
        await_news(crew, member, phase)


cdef void close_crew(Crew* crew) noexcept nogil:
    """Let all others return from `work_in_crew`, now and until `crew.closed` is 0 again."""
    cdef Py_ssize_t m
    exchange(&crew.closed, 1)
    for m in range(1, crew.size):
        wake(crew, m)
