//! POSIX semaphores.
