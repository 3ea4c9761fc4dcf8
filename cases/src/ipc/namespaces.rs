//! IPC namespaces: what is seen from where.

use nix::sched::{CloneFlags, unshare};

use crate::prelude::*;
use crate::sys::sysctl::{numbers, set_sysctl};
use crate::sys::sysv::Kind;
use crate::sys::unique_key;

/// The cases of this module.
pub const CASES: &[Case] = &[
    object_is_seen_in_its_namespace_alone,
    one_key_stands_for_an_object_in_each_namespace,
    limits_belong_to_the_namespace,
    proc_sysvipc_lists_the_readers_namespace,
];

/// An object is seen by every process of its namespace, and neither its key nor its identifier leads to it from another.
#[case(IPC_NAMESPACES_7, "DESCRIPTION", settles = ["A27"], needs = [Need::Own(Namespaces::IPC), Need::CanUnshare(Namespaces::IPC)])]
fn object_is_seen_in_its_namespace_alone() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let object = kind.create(key, 0o600)?;
        Child::spawn(|| {
            check!(kind.find(key) == Ok(object), "{kind:?}");
            check!(object.stat()?.key == key, "{kind:?}");
            unshare(CloneFlags::CLONE_NEWIPC)?;
            check!(kind.find(key) == Err(ENOENT), "{kind:?}");
            check!(object.stat() == Err(EINVAL), "{kind:?}");
            check!(object.remove() == Err(EINVAL), "{kind:?}");
            Ok(())
        })?
        .join()?;
        check!(object.stat()?.key == key, "{kind:?}");
    }
    Ok(())
}

/// One key may stand for an object in each of two namespaces, and what happens to one leaves the other alone.
#[case(IPC_NAMESPACES_7, "DESCRIPTION", settles = ["A27"], needs = [Need::Own(Namespaces::IPC), Need::CanUnshare(Namespaces::IPC)])]
fn one_key_stands_for_an_object_in_each_namespace() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let here = kind.create(key, 0o600)?;
        Child::spawn(|| {
            unshare(CloneFlags::CLONE_NEWIPC)?;
            let there = kind.create(key, 0o640);
            check!(there.map(drop) == Ok(()), "{kind:?}");
            let there = there?;
            check!(there.stat()?.mode & 0o777 == 0o640, "{kind:?}");
            check!(there.remove() == Ok(()), "{kind:?}");
            Ok(())
        })?
        .join()?;
        check!(kind.find(key) == Ok(here), "{kind:?}");
        check!(here.stat()?.mode & 0o777 == 0o600, "{kind:?}");
    }
    Ok(())
}

/// The limits of System V objects are those of the reader's namespace: what one sets the other does not see.
#[case(IPC_NAMESPACES_7, "DESCRIPTION", needs = [Need::Sysctl("kernel/msgmax"), Need::CanUnshare(Namespaces::IPC)])]
fn limits_belong_to_the_namespace() -> Verdict {
    let names =
        ["msgmax", "msgmnb", "msgmni", "shmall", "shmmax", "shmmni", "shm_rmid_forced", "sem"]
            .map(|name| format!("kernel/{name}"));
    for name in &names {
        let before = numbers(name)?;
        let other = if before.len() == 1 { vec![1 + before[0] % 2] } else { vec![11, 22, 3, 2] };
        let other = if name.ends_with("forced") { vec![1 - before[0]] } else { other };
        Child::spawn(|| {
            unshare(CloneFlags::CLONE_NEWIPC)?;
            let text: Vec<_> = other.iter().map(u64::to_string).collect();
            set_sysctl(name, text.join(" "))?;
            check!(numbers(name)? == other, "{name}");
            Ok(())
        })?
        .join()?;
        check!(numbers(name)? == before, "{name}");
    }
    Ok(())
}

const LISTS: Facility = Facility {
    name: "/proc/sysvipc",
    probe: || std::fs::metadata("/proc/sysvipc/shm").map(drop).map_err(|_| ENOENT),
};

/// Key and identifier of every object that /proc/sysvipc lists.
fn listed(kind: Kind) -> Verdict<Vec<(i32, i32)>> {
    let text =
        std::fs::read_to_string(format!("/proc/sysvipc/{}", format!("{kind:?}").to_lowercase()))?;
    let number = |word: Option<&str>| word.and_then(|word| word.parse().ok()).unwrap_or(-1);
    let objects = text.lines().skip(1).map(|line| {
        let mut words = line.split_ascii_whitespace();
        (number(words.next()), number(words.next()))
    });
    Ok(objects.collect())
}

/// /proc/sysvipc lists every object of the reader's namespace, readable or not, and none of another.
#[case(PROC_SYSVIPC_5, "DESCRIPTION", also = [(IPC_NAMESPACES_7, "DESCRIPTION")], needs = [Need::Facility(LISTS), Need::Own(Namespaces::IPC), Need::CanUnshare(Namespaces::IPC)])]
fn proc_sysvipc_lists_the_readers_namespace() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let objects = [(key, kind.create(key, 0o600)?.id), (0, kind.private(0)?.id)];
        check!(listed(kind)? == objects, "{kind:?}");
        Child::spawn(|| {
            unshare(CloneFlags::CLONE_NEWIPC)?;
            check!(listed(kind)?.is_empty(), "{kind:?}");
            Ok(())
        })?
        .join()?;
    }
    Ok(())
}
