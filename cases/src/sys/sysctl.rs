//! Limits of the target, read where the kernel tells them.

use ipcspec_harness::{Failure, Verdict};

/// The number in `/proc/sys/NAME`.
pub fn sysctl(name: &str) -> Verdict<u64> {
    Ok(numbers(name)?[0])
}

/// The number in `/proc/sys/NAME`, in the type in which a system call tells
/// it; where it does not fit, the case is skipped.
pub fn fitting<T: TryFrom<u64>>(name: &str) -> Verdict<T> {
    let number = sysctl(name)?;
    let wide = || format!("/proc/sys/{name} is {number}, beyond {} bits", 8 * size_of::<T>());
    T::try_from(number).map_err(|_| Failure::skipped(vec![wide()]))
}

/// All numbers in `/proc/sys/NAME`; where there is no such file, the case is
/// skipped.
pub fn numbers(name: &str) -> Verdict<Vec<u64>> {
    let path = format!("/proc/sys/{name}");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::skipped(vec![path]));
        }
        other => other?,
    };
    let numbers: Vec<u64> =
        text.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    if numbers.is_empty() { Err(format!("/proc/sys/{name} is empty"))? } else { Ok(numbers) }
}

/// Writes `/proc/sys/NAME`. The case declares it with `Need::Sysctl`.
pub fn set_sysctl(name: &str, value: impl std::fmt::Display) -> Verdict {
    Ok(std::fs::write(format!("/proc/sys/{name}"), value.to_string())?)
}
