//! The memory of librdkafka's threads.

/// How many arenas all threads share: enough that they seldom wait for each other.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 2;

/// Has all threads share a few arenas of glibc's malloc. By default each thread gets its own, and every client of
/// librdkafka has a thread for each broker and one more: a record is allocated by one of them and freed by another, so
/// that each arena keeps the most it ever held. This is the whole process's, and so the program's to decide and not the
/// library's. Where `MALLOC_ARENA_MAX` is set, that holds.
pub(in crate::broker::kafka) fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: mallopt takes two numbers; one that it does not know it refuses.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
    }
}
