"""A team: threads that run the tasks of a step together, phase by phase, without the GIL.

Member 0 leads: it opens a phase with a number of tasks (`run_phase`), takes tasks itself, and returns when all are
done. The other members take tasks of the open phase (`work_in_team`). Any member may run any task, so a task writes
only to memory of the task or of the member.

One integer describes the open phase, the ticket: the number of the phase, the number of its tasks, and how many of them
are taken. A member takes a task by compare-and-swap of the ticket, so a late member never takes a task of a completed
phase. A member without a task spins for some microseconds, the time that the leader needs between two phases, and then
sleeps on its lock. The leader wakes members 1 and 2 when it opens a phase; member m wakes 2m + 1 and 2m + 2.
"""

from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock, PyThread_type_lock,
    WAIT_LOCK,
)
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

include "block_tasks.pxi"


# Atomic operations. `exchange` stores a value and returns the value before; the struct `Exchange` has no part in it
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
    TASK_BITS = 28  # bits of the ticket for the number of tasks, and for the number taken; the rest counts phases
    SPINS = 1000    # pauses before a member sleeps: 10 to 50 microseconds


cdef struct Member:
    int64_t asleep
    PyThread_type_lock lock   # released to wake the member, held otherwise
    char[48] padding          # pads to a cache line


cdef struct Team:
    uint64_t ticket
    char[56] padding
    int64_t done              # completed tasks of the phase
    char[56] more_padding
    int64_t closed
    BlockState* state         # what the tasks work on
    Py_ssize_t size
    Member* members


cdef int form_team(Team* team, Py_ssize_t size, BlockState* state) except -1:
    """Make a team of `size` members. `disband_team` frees it, also after an exception here."""
    cdef Py_ssize_t m
    team.state, team.size, team.closed = state, 0, 1
    team.members = <Member*>calloc(size, sizeof(Member))
    if team.members == NULL:
        raise MemoryError
    for m in range(size):
        team.members[m].lock = PyThread_allocate_lock()
        if team.members[m].lock == NULL:
            raise MemoryError
        PyThread_acquire_lock(team.members[m].lock, WAIT_LOCK)
        team.size += 1
    return 0


cdef void disband_team(Team* team) noexcept:
    cdef Py_ssize_t m
    for m in range(team.size):
        PyThread_release_lock(team.members[m].lock)
        PyThread_free_lock(team.members[m].lock)
    free(team.members)


cdef inline uint64_t tasks_of(uint64_t ticket) noexcept nogil:
    return ticket >> TASK_BITS & ((1 << TASK_BITS) - 1)


cdef inline uint64_t phase_of(uint64_t ticket) noexcept nogil:
    return ticket >> (2 * TASK_BITS)


cdef inline void wake(Team* team, Py_ssize_t member) noexcept nogil:
    if member < team.size and exchange(&team.members[member].asleep, 0):
        PyThread_release_lock(team.members[member].lock)


cdef void take_tasks(Team* team, Py_ssize_t member) noexcept nogil:
    """Run tasks of the open phase until all are taken."""
    cdef BlockState* state = team.state
    cdef uint64_t ticket
    cdef Py_ssize_t task
    while True:
        ticket = load_ticket(&team.ticket)
        task = ticket & ((1 << TASK_BITS) - 1)
        if task >= <Py_ssize_t>tasks_of(ticket):
            return
        if swap_ticket(&team.ticket, ticket, ticket + 1):
            if state.single:
                run_task(state, task, member, <float*>state.model.weights)
            else:
                run_task(state, task, member, <double*>state.model.weights)
            if fetch_add(&team.done, 1) + 1 == <int64_t>tasks_of(ticket):
                wake(team, 0)


cdef inline bint has_news(Team* team, Py_ssize_t member, uint64_t number) noexcept nogil:
    """Whether a member may stop waiting.

    The leader, member 0, waits until `number` tasks are done. Another member waits until the open phase is not phase
    `number`, or the team is closed.
    """
    if member == 0:
        return load(&team.done) == <int64_t>number
    return phase_of(load_ticket(&team.ticket)) != number or load(&team.closed)


cdef void await_news(Team* team, Py_ssize_t member, uint64_t number) noexcept nogil:
    """Wait until the member `has_news`; `number` as there: of tasks for the leader, else of a phase."""
    cdef Py_ssize_t spin = 0
    while not has_news(team, member, number):
        if spin < SPINS:
            spin += 1
            pause()
            continue
        exchange(&team.members[member].asleep, 1)
        if has_news(team, member, number) and exchange(&team.members[member].asleep, 0):
            return
        PyThread_acquire_lock(team.members[member].lock, WAIT_LOCK)  # the thread that reset `asleep` releases it


cdef void run_phase(Team* team, Phase phase, Py_ssize_t tasks) noexcept nogil:
    """Lead the team through tasks 0 to tasks - 1 of a phase."""
    cdef uint64_t number = phase_of(team.ticket) + 1
    team.state.phase = phase
    exchange(&team.done, 0)
    exchange_ticket(&team.ticket, number << (2 * TASK_BITS) | <uint64_t>tasks << TASK_BITS)
    wake(team, 1)
    wake(team, 2)
    take_tasks(team, 0)
    await_news(team, 0, <uint64_t>tasks)


cdef void work_in_team(Team* team, Py_ssize_t member) noexcept nogil:
    """Take tasks of all phases until the team is closed."""
    cdef uint64_t number
    while not load(&team.closed):
        number = phase_of(load_ticket(&team.ticket))
        wake(team, 2 * member + 1)
        wake(team, 2 * member + 2)
        take_tasks(team, member)
        await_news(team, member, number)


cdef void close_team(Team* team) noexcept nogil:
    """Let all other members return from `work_in_team`, until `team.closed` is 0 again."""
    cdef Py_ssize_t m
    exchange(&team.closed, 1)
    for m in range(1, team.size):
        wake(team, m)
