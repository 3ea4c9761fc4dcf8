//! Owners, creators and permissions of System V objects of all three kinds.

use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};

use crate::prelude::*;
use crate::sys::sysv::{Kind, Permissions};
use crate::sys::unique_key;

/// The cases of this module.
pub const CASES: &[Case] = &[
    object_notes_its_creator_and_mode,
    set_changes_nine_bits_and_never_the_creator,
    missing_permission_refuses_to_open,
    missing_permission_refuses_to_look,
    owner_is_judged_by_the_owners_bits_alone,
    each_class_of_users_has_bits_of_its_own,
    owner_removes_what_no_one_may_read,
    stranger_neither_changes_nor_removes,
    creator_keeps_control_of_what_is_given_away,
    creator_and_owner_share_the_owners_bits,
    cap_ipc_owner_passes_every_permission,
    cap_sys_admin_removes_what_is_not_its_own,
];

const CREATOR: u32 = 4321;
const OWNER: u32 = 4322;
const STRANGER: u32 = 4323;

/// Runs `body` to its end in a process of this user and group and no other, without capabilities.
fn act_as(user: u32, group: u32, body: impl FnOnce() -> Verdict) -> Verdict {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    Child::spawn(|| {
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        body()
    })?
    .join()
}

/// Opens the object under this key for reading, for writing and for both.
fn opened(kind: Kind, key: libc::key_t) -> [nix::Result<()>; 3] {
    [0o400, 0o200, 0o600].map(|wish| kind.get(key, wish).map(drop))
}

/// A new object notes its key, the user and group that made it as its owner too, and its mode whole, whatever the umask.
#[case(SHMGET_2, "DESCRIPTION", settles = ["B26", "msgctl.2 msg_perm", "semctl.2 sem_perm", "shmctl.2 shm_perm"], also = [(MSGGET_2, "DESCRIPTION"), (SEMGET_2, "DESCRIPTION")])]
fn object_notes_its_creator_and_mode() -> Verdict {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_retain(0o077));
    for kind in Kind::ALL {
        let key = unique_key();
        let noted =
            Permissions { key, user, group, creator: user, creator_group: group, mode: 0o757 };
        check!(kind.create(key, 0o757)?.stat() == Ok(noted), "{kind:?}");
    }
    Ok(())
}

/// IPC_SET changes the nine bits of the mode, and no other bit and neither creator nor key.
#[case(SHMCTL_2, "DESCRIPTION", also = [(MSGCTL_2, "DESCRIPTION"), (SEMCTL_2, "DESCRIPTION")])]
fn set_changes_nine_bits_and_never_the_creator() -> Verdict {
    for kind in Kind::ALL {
        let object = kind.create(unique_key(), 0o600)?;
        let before = object.stat()?;
        let wish = Permissions {
            creator: before.creator + 1,
            creator_group: before.creator_group + 1,
            mode: 0o7644,
            ..before
        };
        check!(object.set(wish) == Ok(()), "{kind:?}");
        check!(object.stat() == Ok(Permissions { mode: 0o644, ..before }), "{kind:?}");
    }
    Ok(())
}

/// An object is opened for the access that its mode grants and for no other, also by its owner.
#[case(SHMGET_2, "ERRORS", settles = ["B26", "msgget.2 EACCES", "semget.2 EACCES", "shmget.2 EACCES"], also = [(MSGGET_2, "ERRORS"), (SEMGET_2, "ERRORS")], needs = [Need::Unprivileged])]
fn missing_permission_refuses_to_open() -> Verdict {
    for kind in Kind::ALL {
        for (mode, answers) in [
            (0o400, [Ok(()), Err(EACCES), Err(EACCES)]),
            (0o200, [Err(EACCES), Ok(()), Err(EACCES)]),
            (0o600, [Ok(()), Ok(()), Ok(())]),
            (0, [Err(EACCES), Err(EACCES), Err(EACCES)]),
        ] {
            let key = unique_key();
            let object = kind.create(key, mode)?;
            check!(opened(kind, key) == answers, "{kind:?} of mode {mode:o}");
            check!(kind.find(key) == Ok(object), "{kind:?} of mode {mode:o}");
        }
    }
    Ok(())
}

/// IPC_STAT needs permission to read, and no other.
#[case(SHMCTL_2, "ERRORS", settles = ["msgctl.2 EACCES", "semctl.2 IPC_STAT", "msgctl.2 IPC_STAT", "shmctl.2 IPC_STAT"], also = [(MSGCTL_2, "ERRORS"), (SEMCTL_2, "ERRORS")], needs = [Need::Unprivileged])]
fn missing_permission_refuses_to_look() -> Verdict {
    for kind in Kind::ALL {
        check!(kind.private(0o200)?.stat() == Err(EACCES), "{kind:?}");
        check!(kind.private(0o377)?.stat() == Err(EACCES), "{kind:?}");
        check!(
            kind.private(0o400)?.stat().map(|permissions| permissions.mode) == Ok(0o400),
            "{kind:?}"
        );
    }
    Ok(())
}

/// What a mode grants to the group and to others is not for the owner.
#[case(SHMGET_2, "DESCRIPTION", settles = ["B26"], also = [(MSGGET_2, "DESCRIPTION"), (SEMGET_2, "DESCRIPTION")], needs = [Need::Unprivileged])]
fn owner_is_judged_by_the_owners_bits_alone() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        kind.create(key, 0o077)?;
        check!(opened(kind, key) == [Err(EACCES); 3], "{kind:?}");
    }
    Ok(())
}

/// A mode grants one thing to the owner, another to the rest of the group, and a third to everybody else.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["B26"], also = [(MSGCTL_2, "DESCRIPTION"), (SEMCTL_2, "DESCRIPTION")], needs = [Need::OtherUsers])]
fn each_class_of_users_has_bits_of_its_own() -> Verdict {
    const NO: nix::Result<()> = Err(EACCES);
    let (keys, group) = (Kind::ALL.map(|kind| (kind, unique_key())), CREATOR);
    act_as(CREATOR, group, || {
        for (kind, key) in keys {
            kind.create(key, 0o642)?;
        }
        Ok(())
    })?;
    for (user, group, answers) in [
        (CREATOR, STRANGER, [Ok(()), Ok(()), Ok(())]),
        (STRANGER, group, [Ok(()), NO, NO]),
        (STRANGER, STRANGER, [NO, Ok(()), NO]),
    ] {
        act_as(user, group, || {
            for (kind, key) in keys {
                check!(opened(kind, key) == answers, "{kind:?} for user {user} of group {group}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// To change and to remove an object its owner needs none of the permissions.
#[case(SHMCTL_2, "DESCRIPTION", also = [(MSGCTL_2, "DESCRIPTION"), (SEMCTL_2, "DESCRIPTION")], needs = [Need::Unprivileged])]
fn owner_removes_what_no_one_may_read() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let object = kind.create(key, 0o600)?;
        let permissions = object.stat()?;
        check!(object.set(Permissions { mode: 0, ..permissions }) == Ok(()), "{kind:?}");
        check!(object.stat() == Err(EACCES), "{kind:?}");
        check!(object.set(Permissions { mode: 0o400, ..permissions }) == Ok(()), "{kind:?}");
        check!(object.stat().map(|permissions| permissions.mode) == Ok(0o400), "{kind:?}");
        check!(object.set(Permissions { mode: 0, ..permissions }) == Ok(()), "{kind:?}");
        check!(object.remove() == Ok(()), "{kind:?}");
        check!(kind.find(key) == Err(ENOENT), "{kind:?}");
    }
    Ok(())
}

/// Who is neither owner nor creator may not change or remove an object, whatever its mode grants.
#[case(SHMCTL_2, "ERRORS", settles = ["B26", "msgctl.2 EPERM 1", "semctl.2 EPERM", "shmctl.2 EPERM"], also = [(MSGCTL_2, "ERRORS"), (SEMCTL_2, "ERRORS")], needs = [Need::OtherUsers])]
fn stranger_neither_changes_nor_removes() -> Verdict {
    for kind in Kind::ALL {
        let object = kind.private(0o666)?;
        let permissions = object.stat()?;
        act_as(STRANGER, STRANGER, || {
            check!(object.stat() == Ok(permissions), "{kind:?}");
            check!(
                object.set(Permissions { user: STRANGER, ..permissions }) == Err(EPERM),
                "{kind:?}"
            );
            check!(object.remove() == Err(EPERM), "{kind:?}");
            Ok(())
        })?;
        check!(object.stat() == Ok(permissions), "{kind:?}");
    }
    Ok(())
}

/// An object given away stays its creator's too: the creator and the new owner may change and remove it.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["B26", "shmctl.2 IPC_SET"], also = [(MSGCTL_2, "DESCRIPTION"), (SEMCTL_2, "DESCRIPTION")], needs = [Need::OtherUsers])]
fn creator_keeps_control_of_what_is_given_away() -> Verdict {
    for kind in Kind::ALL {
        let (key, other_key) = (unique_key(), unique_key());
        act_as(CREATOR, CREATOR, || {
            for key in [key, other_key] {
                let object = kind.create(key, 0o600)?;
                let given = Permissions { user: OWNER, group: OWNER, ..object.stat()? };
                check!(object.set(given) == Ok(()), "{kind:?}");
            }
            Ok(())
        })?;
        act_as(OWNER, STRANGER, || {
            let object = kind.find(key)?;
            let given = Permissions {
                key,
                user: OWNER,
                group: OWNER,
                creator: CREATOR,
                creator_group: CREATOR,
                mode: 0o600,
            };
            check!(object.stat() == Ok(given), "{kind:?}");
            check!(object.set(Permissions { mode: 0o660, ..given }) == Ok(()), "{kind:?}");
            check!(object.remove() == Ok(()), "{kind:?}");
            Ok(())
        })?;
        act_as(STRANGER, STRANGER, || {
            check!(kind.get(other_key, 0o400) == Err(EACCES), "{kind:?}");
            check!(kind.find(other_key)?.remove() == Err(EPERM), "{kind:?}");
            Ok(())
        })?;
        act_as(CREATOR, STRANGER, || holds!(kind.find(other_key)?.remove() == Ok(()), "{kind:?}"))?;
    }
    Ok(())
}

/// The owner's bits of an object given away are for its creator as for its new owner, and for no one else.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["B26"], also = [(MSGCTL_2, "DESCRIPTION"), (SEMCTL_2, "DESCRIPTION")], needs = [Need::OtherUsers])]
fn creator_and_owner_share_the_owners_bits() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        act_as(CREATOR, CREATOR, || {
            let object = kind.create(key, 0o600)?;
            object.set(Permissions { user: OWNER, group: OWNER, ..object.stat()? })?;
            Ok(())
        })?;
        for (user, answer) in [(CREATOR, Ok(())), (OWNER, Ok(())), (STRANGER, Err(EACCES))] {
            act_as(user, user, || {
                check!(opened(kind, key) == [answer; 3], "{kind:?} for user {user}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Who has CAP_IPC_OWNER over the namespace reads and writes whatever the mode says.
#[case(SHMGET_2, "ERRORS", also = [(MSGGET_2, "ERRORS"), (SEMGET_2, "ERRORS")], needs = [Need::OwnCap(Cap::IpcOwner)])]
fn cap_ipc_owner_passes_every_permission() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        let object = kind.create(key, 0)?;
        check!(opened(kind, key) == [Ok(()); 3], "{kind:?}");
        check!(object.stat().map(|permissions| permissions.mode) == Ok(0), "{kind:?}");
    }
    Ok(())
}

/// Who has CAP_SYS_ADMIN over the namespace changes and removes what others made and own.
#[case(SHMCTL_2, "ERRORS", also = [(MSGCTL_2, "ERRORS"), (SEMCTL_2, "ERRORS")], needs = [Need::OtherUsers, Need::OwnCap(Cap::SysAdmin)])]
fn cap_sys_admin_removes_what_is_not_its_own() -> Verdict {
    for kind in Kind::ALL {
        let key = unique_key();
        act_as(CREATOR, CREATOR, || {
            kind.create(key, 0o600)?;
            Ok(())
        })?;
        let object = kind.find(key)?;
        let permissions = object.stat()?;
        check!(permissions.user == CREATOR, "{kind:?}");
        check!(object.set(Permissions { mode: 0o640, ..permissions }) == Ok(()), "{kind:?}");
        check!(object.stat().map(|permissions| permissions.mode) == Ok(0o640), "{kind:?}");
        check!(object.remove() == Ok(()), "{kind:?}");
        check!(kind.find(key) == Err(ENOENT), "{kind:?}");
    }
    Ok(())
}
