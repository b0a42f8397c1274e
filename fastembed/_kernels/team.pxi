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


# Atomic operations. `fetch_store` and `fetch_add` return the value before the store or the addition
cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    #define fastembed_load(p) _InterlockedOr64((volatile __int64*)(p), 0)
    #define fastembed_fetch_store(p, v) _InterlockedExchange64((volatile __int64*)(p), (__int64)(v))
    #define fastembed_add(p, v) _InterlockedExchangeAdd64((volatile __int64*)(p), (__int64)(v))
    #define fastembed_swap(p, old, new_) \\
        (_InterlockedCompareExchange64((volatile __int64*)(p), (__int64)(new_), (__int64)(old)) == (__int64)(old))
    #else
    #define fastembed_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define fastembed_fetch_store(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
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
    uint64_t store_ticket "fastembed_fetch_store" (uint64_t* place, uint64_t value) noexcept nogil
    int64_t fetch_store "fastembed_fetch_store" (int64_t* place, int64_t value) noexcept nogil
    int64_t fetch_add "fastembed_add" (int64_t* place, int64_t value) noexcept nogil
    bint swap_ticket "fastembed_swap" (uint64_t* place, uint64_t old, uint64_t new) noexcept nogil
    void pause "fastembed_pause" () noexcept nogil


cdef enum:
    TASK_BITS = 28  # bits of the ticket for the number of tasks, and for the number taken; the rest counts phases
    SPINS = 1000    # pauses before a member sleeps, 10 to 50 microseconds, as the leader needs between two phases


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
    if member < team.size and fetch_store(&team.members[member].asleep, 0):
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


cdef inline bint phase_is_over(Team* team, Py_ssize_t member, uint64_t ticket) noexcept nogil:
    """Whether the phase of `ticket` is over for a member.

    For the leader, member 0, it is over when all its tasks are done. For another member it is over when another phase
    is open, or the team is closed.
    """
    if member == 0:
        return load(&team.done) == <int64_t>tasks_of(ticket)
    return phase_of(load_ticket(&team.ticket)) != phase_of(ticket) or load(&team.closed)


cdef void wait_for_end(Team* team, Py_ssize_t member, uint64_t ticket) noexcept nogil:
    """Wait until `phase_is_over`: spin, then sleep."""
    cdef Py_ssize_t spin = 0
    while not phase_is_over(team, member, ticket):
        if spin < SPINS:
            spin += 1
            pause()
            continue
        fetch_store(&team.members[member].asleep, 1)
        if phase_is_over(team, member, ticket) and fetch_store(&team.members[member].asleep, 0):
            return  # no other thread has reset `asleep`, so none releases the lock
        PyThread_acquire_lock(team.members[member].lock, WAIT_LOCK)  # the thread that reset `asleep` releases it


cdef void run_phase(Team* team, Phase phase, Py_ssize_t tasks) noexcept nogil:
    """Lead the team through tasks 0 to tasks - 1 of a phase."""
    cdef uint64_t ticket = (phase_of(team.ticket) + 1) << (2 * TASK_BITS) | <uint64_t>tasks << TASK_BITS
    team.state.phase = phase
    fetch_store(&team.done, 0)
    store_ticket(&team.ticket, ticket)
    wake(team, 1)
    wake(team, 2)
    take_tasks(team, 0)
    wait_for_end(team, 0, ticket)


cdef void work_in_team(Team* team, Py_ssize_t member) noexcept nogil:
    """Take tasks of all phases until the team is closed."""
    cdef uint64_t ticket
    while not load(&team.closed):
        ticket = load_ticket(&team.ticket)
        wake(team, 2 * member + 1)
        wake(team, 2 * member + 2)
        take_tasks(team, member)
        wait_for_end(team, member, ticket)


cdef void close_team(Team* team) noexcept nogil:
    """Let all other members return from `work_in_team`, until `team.closed` is 0 again."""
    cdef Py_ssize_t m
    fetch_store(&team.closed, 1)
    for m in range(1, team.size):
        wake(team, m)
