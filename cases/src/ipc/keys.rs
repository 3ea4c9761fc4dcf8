//! Keys and identifiers of System V objects of all three kinds.

use libc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE};

use crate::prelude::*;
use crate::sys::sysv::{Kind, ftok};
use crate::sys::unique_key;

/// The cases of this module.
pub const CASES: &[Case] = &[
    key_leads_every_process_to_one_object,
    key_survives_its_creator,
    private_key_always_makes_a_new_object,
    kinds_have_keys_of_their_own,
    exclusive_creation_of_a_used_key_is_refused,
    exclusive_creation_succeeds_for_one_process,
    unused_key_leads_to_nothing,
    removed_object_frees_its_key,
    old_identifier_never_leads_to_a_later_object,
    ftok_gives_all_names_of_a_file_one_key,
    ftok_needs_an_existing_file,
];

/// Every process that knows a key gets the identifier of the one object made under it.
#[case(SHMGET_2, "DESCRIPTION", settles = ["B27", "shmget.2 IPC_CREAT"], also = [(MSGGET_2, "DESCRIPTION"), (SEMGET_2, "DESCRIPTION")])]
fn key_leads_every_process_to_one_object() -> Verdict {
    for kind in Kind::ALL {
        let (key, other_key) = (unique_key(), unique_key());
        let made = kind.get(key, IPC_CREAT | 0o600)?;
        let other = kind.create(other_key, 0o600)?;
        check!(other != made);
        check!(made.stat()?.key == key);
        Child::spawn(|| {
            check!(kind.find(key) == Ok(made));
            check!(kind.get(key, IPC_CREAT | 0o600) == Ok(made));
            check!(kind.find(other_key) == Ok(other));
            Ok(())
        })?
        .join()?;
    }
    Ok(())
}

/// An object is no property of the process that made it: it and its key are there when that is gone.
#[case(SYSVIPC_7, "DESCRIPTION", settles = ["A27"])]
fn key_survives_its_creator() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        Child::spawn(|| {
            kind.create(key, 0o600)?;
            Ok(())
        })?
        .join()?;
        let left = kind.find(key);
        check!(left.map(|object| object.kind) == Ok(kind));
        check!(left?.stat()?.key == key);
        check!(left?.remove() == Ok(()));
    }
    Ok(())
}

/// IPC_PRIVATE makes a new object each time, with or without IPC_CREAT, and IPC_EXCL means nothing to it.
#[case(SHMGET_2, "NOTES", settles = ["B27"], also = [(MSGGET_2, "NOTES"), (SEMGET_2, "NOTES")])]
fn private_key_always_makes_a_new_object() -> Verdict {
    for kind in Kind::ALL {
        let mut ids = vec![];
        for flags in [0, 0, IPC_CREAT, IPC_CREAT | IPC_EXCL, IPC_EXCL] {
            let object = kind.get(IPC_PRIVATE, 0o600 | flags);
            check!(object.map(drop) == Ok(()), "{kind:?} with flags {flags:o}");
            let object = object?;
            check!(object.stat()?.mode == 0o600, "{kind:?}");
            check!(!ids.contains(&object.id), "{kind:?} with flags {flags:o}");
            ids.push(object.id);
        }
    }
    Ok(())
}

/// One key may stand for an object of each kind: none of them sees the others'.
#[case(SYSVIPC_7, "DESCRIPTION")]
fn kinds_have_keys_of_their_own() -> Verdict {
    let key = unique_key();
    for kind in Kind::ALL {
        check!(kind.find(key) == Err(ENOENT), "{kind:?}");
        check!(kind.create(key, 0o600).map(|object| object.kind) == Ok(kind), "{kind:?}");
    }
    Kind::Sem.find(key)?.remove()?;
    check!(Kind::Msg.find(key).map(drop) == Ok(()));
    check!(Kind::Shm.find(key).map(drop) == Ok(()));
    Ok(())
}

/// IPC_CREAT with IPC_EXCL refuses a key that has an object, which stays what it is.
#[case(SHMGET_2, "ERRORS", settles = ["msgget.2 EEXIST", "semget.2 EEXIST", "shmget.2 EEXIST", "shmget.2 IPC_EXCL"], also = [(MSGGET_2, "ERRORS"), (SEMGET_2, "ERRORS")])]
fn exclusive_creation_of_a_used_key_is_refused() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let made = kind.create(key, 0o640)?;
        check!(kind.create(key, 0o600) == Err(EEXIST), "{kind:?}");
        check!(kind.find(key) == Ok(made), "{kind:?}");
        check!(made.stat()?.mode & 0o777 == 0o640, "{kind:?}");
    }
    Ok(())
}

/// Of several processes that create one key exclusively at once, one makes the object and the others get EEXIST.
#[case(SHMGET_2, "DESCRIPTION", settles = ["shmget.2 IPC_EXCL"], also = [(MSGGET_2, "DESCRIPTION"), (SEMGET_2, "DESCRIPTION")])]
fn exclusive_creation_succeeds_for_one_process() -> Verdict {
    for kind in Kind::ALL {
        let (key, start, made) = (unique_key(), Latch::new()?, Counter::new()?);
        let create = || {
            start.wait()?;
            match kind.create(key, 0o600) {
                Ok(_) => check!(made.add(1) == 0, "{kind:?}"),
                Err(errno) => check!(errno == EEXIST, "{kind:?}"),
            }
            Ok(())
        };
        let all = Children::spawn(4, |_| create())?;
        start.open();
        all.join()?;
        check!(made.get() == 1, "{kind:?}");
    }
    Ok(())
}

/// Without IPC_CREAT a key that has no object is not found, and asking makes none.
#[case(SHMGET_2, "ERRORS", settles = ["msgget.2 ENOENT", "semget.2 ENOENT", "shmget.2 ENOENT"], also = [(MSGGET_2, "ERRORS"), (SEMGET_2, "ERRORS")])]
fn unused_key_leads_to_nothing() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        check!(kind.get(key, 0o600) == Err(ENOENT), "{kind:?}");
        check!(kind.get(key, IPC_EXCL | 0o600) == Err(ENOENT), "{kind:?}");
        check!(kind.create(key, 0o600).map(drop) == Ok(()), "{kind:?}");
    }
    Ok(())
}

/// Once an object is removed its key leads nowhere and can be used anew.
#[case(SHMGET_2, "DESCRIPTION", also = [(SHMCTL_2, "DESCRIPTION"), (MSGCTL_2, "DESCRIPTION"), (SEMCTL_2, "DESCRIPTION")])]
fn removed_object_frees_its_key() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let old = kind.create(key, 0o600)?;
        check!(old.remove() == Ok(()), "{kind:?}");
        check!(kind.find(key) == Err(ENOENT), "{kind:?}");
        let new = kind.create(key, 0o600)?;
        check!(new != old, "{kind:?}");
        check!(kind.find(key) == Ok(new), "{kind:?}");
    }
    Ok(())
}

/// An identifier whose object is removed is refused from then on, however many objects come after.
#[case(SHMCTL_2, "ERRORS", also = [(MSGCTL_2, "ERRORS"), (SEMCTL_2, "ERRORS")])]
fn old_identifier_never_leads_to_a_later_object() -> Verdict {
    for kind in Kind::ALL {
        let old = kind.private(0o600)?;
        old.remove()?;
        for round in 0..100 {
            let new = kind.private(0o600)?;
            let stale = old.stat().map(drop);
            check!(matches!(stale, Err(EINVAL | EIDRM)), "{kind:?}, round {round}: {stale:?}");
            new.remove()?;
        }
    }
    Ok(())
}

/// ftok gives one key for all names of a file, by the low 8 bits of the project, and others for other projects.
#[case(FTOK_3, "DESCRIPTION", settles = ["B27"])]
fn ftok_gives_all_names_of_a_file_one_key() -> Verdict {
    std::fs::write("file", "")?;
    std::fs::hard_link("file", "link")?;
    let key = ftok("file", 1)?;
    check!(ftok("./link", 1) == Ok(key));
    check!(ftok("file", 0x101) == Ok(key));
    check!(ftok("file", 2) != Ok(key));
    check!(key != IPC_PRIVATE);
    Ok(())
}

refusals! {
    FTOK_3, "RETURN VALUE";

    /// ftok has no key for a file that does not exist.
    [] ftok_needs_an_existing_file => ENOENT: ftok("missing", 1);
}
