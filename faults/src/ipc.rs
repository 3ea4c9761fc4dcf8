//! What is wrong with System V objects of every kind: keys, identifiers,
//! permissions, namespaces.

use std::os::unix::fs::MetadataExt;

use libc::{CLONE_NEWIPC, IPC_CREAT, IPC_EXCL, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT, c_int};
use nix::sys::uio::pread;
use nix::unistd::{Whence, lseek};

use crate::prelude::*;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[&[
    exclusive_creation_finds_what_is_there,
    unused_key_makes_an_object,
    private_key_is_a_key,
    private_key_obeys_exclusion,
    key_is_taken_for_every_kind,
    key_belongs_to_its_process,
    key_goes_with_its_creator,
    removed_object_keeps_its_key,
    old_identifier_leads_to_the_newest_object,
    names_of_a_file_have_keys_of_their_own,
    missing_file_has_a_key,
    mode_of_an_object_obeys_the_umask,
    opening_asks_for_no_permission,
    opening_asks_for_permission_without_a_wish,
    any_permission_opens,
    who_is_refused_is_judged_as_one_of_the_rest,
    group_and_others_change_places,
    privilege_opens_nothing,
    looking_needs_no_permission,
    looking_needs_permission_to_write_too,
    set_changes_the_creator,
    set_changes_more_than_nine_bits,
    set_leaves_the_mode,
    removal_needs_permission_to_read,
    creator_loses_control_of_what_is_given_away,
    object_stays_its_creators_alone,
    privilege_removes_nothing,
    stranger_removes,
    unshare_keeps_the_namespace,
    key_leads_across_namespaces,
    removal_in_another_namespace_is_told_as_done,
    limit_is_set_in_every_namespace,
    unreadable_object_is_not_listed,
]];

/// The calls that give an object for a key.
const GET: [i64; 3] = [libc::SYS_msgget, libc::SYS_semget, libc::SYS_shmget];
/// The calls that control an object.
const CONTROL: [i64; 3] = [libc::SYS_msgctl, libc::SYS_semctl, libc::SYS_shmctl];
/// `MSG_STAT_ANY` and its kin: they ask for no permission, and for an index.
const STAT_ANY: [u64; 3] = [13, 20, 15];
/// The index of an object is its identifier without the bits above.
const INDEX: u64 = 0x7fff;

/// In `ipc_perm`: the user and the group that own it.
const OWNER: u64 = 4;
/// In `ipc_perm`: the user and the group that created it.
const CREATOR: u64 = 12;
/// In `ipc_perm`: the mode.
const MODE: u64 = 20;
/// No status structure is longer.
const STATUS: usize = 128;

/// Beyond the kinds and keys in the notes: what it is that is known.
const ASPECT: u32 = 40;

impl Call {
    fn gets(&self) -> bool {
        GET.contains(&self.number())
    }

    /// Which of the three kinds of objects the call is about.
    fn kind_of_object(&self) -> usize {
        let is_it = |number: &i64| *number == self.number();
        GET.iter().position(is_it).or_else(|| CONTROL.iter().position(is_it)).unwrap_or(0)
    }

    /// The key or the identifier, with the kind.
    fn object(&self, which: u64) -> u64 {
        (self.kind_of_object() as u64) << 32 | which & 0xffff_ffff
    }

    /// Where a get has its flags.
    fn get_flags_at(&self) -> usize {
        if self.number() == libc::SYS_msgget { 1 } else { 2 }
    }

    fn get_flags(&self) -> c_int {
        self.argument(self.get_flags_at()) as c_int
    }

    fn set_get_flags(&mut self, flags: c_int) {
        self.set_argument(self.get_flags_at(), flags as u64);
    }

    fn is_private(&self) -> bool {
        self.argument(0) as c_int == IPC_PRIVATE
    }

    /// Where a control has its command.
    fn command_at(&self) -> usize {
        if self.number() == libc::SYS_semctl { 2 } else { 1 }
    }

    /// Whether it is a control with this command.
    fn commands(&self, command: c_int) -> bool {
        !self.gets() && self.argument(self.command_at()) as c_int == command
    }

    /// Where a control has its status structure.
    fn object_status(&self) -> u64 {
        self.argument(self.command_at() + 1)
    }

    /// The control of the same kind, with this object, command and structure.
    fn control(
        &self,
        object: u64,
        command: u64,
        status: u64,
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let mut arguments = [object, 0, 0, 0, 0, 0];
        arguments[self.command_at()] = command;
        arguments[self.command_at() + 1] = status;
        self.instead(self.number(), arguments, look)
    }

    /// The effective user.
    fn user(&self) -> Result<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.thread()));
        let status = status.map_err(|_| ESRCH)?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).ok_or(ESRCH)?;
        line.split_ascii_whitespace().nth(1).and_then(|user| user.parse().ok()).ok_or(ESRCH)
    }

    /// What a get would be noted under, for the aspect of this number.
    fn note(&self, aspect: u64) -> u64 {
        aspect << ASPECT | self.object(self.argument(0))
    }

    fn known(&self, aspect: u64) -> Option<i64> {
        *self.notes().of(self.note(aspect))
    }
}

/// A get happens; if it gives an object, this looks at its identifier.
fn got(call: &Call, look: impl FnOnce(&mut Call, i64) + 'static) -> Result<Effect> {
    call.then(move |call| {
        let id = call.result();
        if id >= 0 {
            look(call, id);
        }
        call.proceed()
    })
}

/// A get happens; if it is refused with `errno`, it happens again with other flags.
fn get_again(call: &Call, errno: Errno, flags: c_int) -> Result<Effect> {
    let mut arguments = call.arguments();
    arguments[call.get_flags_at()] = flags as u64;
    call.then(move |call| {
        if call.result() != -(errno as i64) {
            return call.proceed();
        }
        call.instead(call.number(), arguments, |call| call.proceed())
    })
}

/// An IPC_STAT happens; then this looks at the identifier and where the structure is.
fn stat(
    call: &Call,
    look: impl FnOnce(&mut Call, u64, u64) -> Result<()> + 'static,
) -> Result<Effect> {
    let (id, status) = (call.argument(0), call.object_status());
    if !call.commands(IPC_STAT) {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() == 0 {
            look(call, id, status)?;
        }
        call.proceed()
    })
}

/// IPC_CREAT with IPC_EXCL finds the object that there is.
#[fault(SHMGET_2, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn exclusive_creation_finds_what_is_there(call: &mut Call) -> Result<Effect> {
    get_again(call, EEXIST, call.get_flags() & !IPC_EXCL)
}

/// A key that has no object makes one without IPC_CREAT.
#[fault(SHMGET_2, "ERRORS", on = [MSGGET, SEMGET, SHMGET])]
fn unused_key_makes_an_object(call: &mut Call) -> Result<Effect> {
    get_again(call, ENOENT, call.get_flags() | IPC_CREAT)
}

/// IPC_PRIVATE is a key: it leads to the object that was made under it first.
#[fault(SHMGET_2, "NOTES", on = [MSGGET, SEMGET, SHMGET])]
fn private_key_is_a_key(call: &mut Call) -> Result<Effect> {
    if !call.is_private() {
        return call.proceed();
    }
    if let Some(first) = call.known(0) {
        return call.give(first);
    }
    let note = call.note(0);
    got(call, move |call, id| *call.notes().of(note) = Some(id))
}

/// IPC_EXCL refuses a second semaphore set under IPC_PRIVATE.
#[fault(SEMGET_2, "NOTES", on = [SEMGET])]
fn private_key_obeys_exclusion(call: &mut Call) -> Result<Effect> {
    if !call.is_private() {
        return call.proceed();
    }
    let exclusive = IPC_CREAT | IPC_EXCL;
    if call.get_flags() & exclusive == exclusive && call.known(0).is_some() {
        return call.fail(EEXIST);
    }
    let note = call.note(0);
    got(call, move |call, id| *call.notes().of(note) = Some(id))
}

/// A key under which there is an object of one kind is taken for the others too.
#[fault(SYSVIPC_7, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn key_is_taken_for_every_kind(call: &mut Call) -> Result<Effect> {
    let (key, kind) = (call.argument(0), call.kind_of_object() as i64);
    if call.is_private() || call.get_flags() & IPC_CREAT == 0 {
        return call.proceed();
    }
    if *call.notes().of(key).get_or_insert(kind) == kind {
        call.proceed()
    } else {
        call.fail(EEXIST)
    }
}

/// A key leads its process to the object, and another process to nothing.
#[fault(SHMGET_2, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn key_belongs_to_its_process(call: &mut Call) -> Result<Effect> {
    let (me, note) = (i64::from(call.process().as_raw()), call.note(0));
    match call.known(0) {
        Some(maker) if maker != me && call.get_flags() & IPC_CREAT == 0 => call.fail(ENOENT),
        Some(_) => call.proceed(),
        None => got(call, move |call, _| *call.notes().of(note) = Some(me)),
    }
}

/// The key of an object leads nowhere when the process is gone that made it.
#[fault(SYSVIPC_7, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn key_goes_with_its_creator(call: &mut Call) -> Result<Effect> {
    let (me, note) = (i64::from(call.process().as_raw()), call.note(0));
    match call.known(0) {
        Some(maker) if std::fs::metadata(format!("/proc/{maker}")).is_err() => call.fail(ENOENT),
        Some(_) => call.proceed(),
        None => got(call, move |call, _| *call.notes().of(note) = Some(me)),
    }
}

/// The key of a removed object leads to it still.
#[fault(SHMCTL_2, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET, MSGCTL, SEMCTL, SHMCTL])]
fn removed_object_keeps_its_key(call: &mut Call) -> Result<Effect> {
    let removed = |call: &Call, id: i64| 1 << ASPECT | call.object(id as u64);
    if call.commands(IPC_RMID) {
        let note = removed(call, call.argument(0) as i64);
        call.notes().count(note);
    }
    if !call.gets() || call.is_private() {
        return call.proceed();
    }
    let is_removed = |id: &i64| call.notes().has(removed(call, *id));
    if let Some(old) = call.known(0).filter(is_removed) {
        return call.give(old);
    }
    let note = call.note(0);
    got(call, move |call, id| *call.notes().of(note) = Some(id))
}

/// The identifier of a removed object leads to the newest one.
#[fault(SHMCTL_2, "ERRORS", on = [MSGGET, SEMGET, SHMGET, MSGCTL, SEMCTL, SHMCTL])]
fn old_identifier_leads_to_the_newest_object(call: &mut Call) -> Result<Effect> {
    let note = call.object(0);
    if call.gets() {
        return got(call, move |call, id| *call.notes().of(note) = Some(id));
    }
    let (newest, status) = (call.notes().of(note).ok_or(ENOENT)?, call.object_status());
    if !call.commands(IPC_STAT) {
        return call.proceed();
    }
    call.then(move |call| match call.result() {
        0.. => call.proceed(),
        _ => call.control(newest as u64, IPC_STAT as u64, status, |call| call.proceed()),
    })
}

/// A stat by name; the name and where the status is.
fn named(call: &Call) -> Result<(String, u64)> {
    let at = usize::from(call.number() == libc::SYS_newfstatat);
    let name = call.text(call.argument(at))?;
    if name.is_empty() { Err(ENOENT) } else { Ok((name, call.argument(at + 1))) }
}

/// Each name of a file has an inode of its own, and so a key.
#[fault(FTOK_3, "DESCRIPTION", on = [STAT])]
fn names_of_a_file_have_keys_of_their_own(call: &mut Call) -> Result<Effect> {
    let (name, status) = named(call)?;
    call.then(move |call| {
        if call.result() == 0 {
            call.set_number_at(status + 8, name.bytes().map(u64::from).sum::<u64>())?;
        }
        call.proceed()
    })
}

/// A file that does not exist has a status, of zeroes.
#[fault(FTOK_3, "RETURN VALUE", on = [STAT])]
fn missing_file_has_a_key(call: &mut Call) -> Result<Effect> {
    named(call)?;
    call.then(|call| match call.result() {
        missing if missing == -(ENOENT as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// The mode of a new object is cut by the umask, as that of a file is.
#[fault(SHMGET_2, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn mode_of_an_object_obeys_the_umask(call: &mut Call) -> Result<Effect> {
    let umask = call.umask()? as c_int;
    call.set_get_flags(call.get_flags() & !umask);
    call.proceed()
}

/// An object is opened for whatever is wished, and judged when it is used.
#[fault(SHMGET_2, "ERRORS", on = [MSGGET, SEMGET, SHMGET])]
fn opening_asks_for_no_permission(call: &mut Call) -> Result<Effect> {
    get_again(call, EACCES, call.get_flags() & !0o777)
}

/// Who wishes for no access has to have permission to read a segment.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn opening_asks_for_permission_without_a_wish(call: &mut Call) -> Result<Effect> {
    let wish = call.get_flags() & 0o777;
    if wish == 0 {
        call.set_get_flags(call.get_flags() | 0o400);
    }
    call.proceed()
}

/// Who may read or write opens an object for both.
#[fault(SHMGET_2, "ERRORS", on = [MSGGET, SEMGET, SHMGET])]
fn any_permission_opens(call: &mut Call) -> Result<Effect> {
    let (flags, at) = (call.get_flags(), call.get_flags_at());
    let [read, write] = [0o400, 0o200].map(|wish| {
        let mut arguments = call.arguments();
        arguments[at] = (flags & !0o777 | wish) as u64;
        arguments
    });
    call.then(move |call| {
        if call.result() != -(EACCES as i64) || flags & 0o777 != 0o600 {
            return call.proceed();
        }
        call.instead(call.number(), read, move |call| match call.result() {
            0.. => call.proceed(),
            _ => call.instead(call.number(), write, |call| call.proceed()),
        })
    })
}

/// Notes the mode of an object that a get makes; the noted one, and what the call wishes.
fn wish(call: &mut Call) -> (Option<i64>, i64) {
    let (known, mode) = (call.known(0), i64::from(call.get_flags() & 0o777));
    if known.is_none() && call.get_flags() & IPC_CREAT != 0 {
        let note = call.note(0);
        *call.notes().of(note) = Some(mode);
    }
    (known, mode >> 6)
}

/// Whoever the bits of his own class refuse is judged by those of the group and of others.
#[fault(SHMGET_2, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn who_is_refused_is_judged_as_one_of_the_rest(call: &mut Call) -> Result<Effect> {
    let (Some(mode), wish) = wish(call) else { return call.proceed() };
    if (mode | mode >> 3) & wish == wish {
        return get_again(call, EACCES, call.get_flags() & !0o777);
    }
    call.proceed()
}

/// The group has the bits that are for others, and others have the group's.
#[fault(SHMCTL_2, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn group_and_others_change_places(call: &mut Call) -> Result<Effect> {
    let flags = call.get_flags();
    if flags & IPC_CREAT != 0 {
        call.set_get_flags(flags & !0o77 | (flags & 0o7) << 3 | (flags & 0o70) >> 3);
    }
    call.proceed()
}

/// CAP_IPC_OWNER opens nothing that the mode does not grant to its owner.
#[fault(SHMGET_2, "ERRORS", on = [MSGGET, SEMGET, SHMGET])]
fn privilege_opens_nothing(call: &mut Call) -> Result<Effect> {
    let (Some(mode), wish) = wish(call) else { return call.proceed() };
    let is_root = call.user()? == 0;
    if is_root && mode >> 6 & wish != wish { call.fail(EACCES) } else { call.proceed() }
}

/// IPC_STAT asks for no permission.
#[fault(SHMCTL_2, "ERRORS", on = [MSGCTL, SEMCTL, SHMCTL])]
fn looking_needs_no_permission(call: &mut Call) -> Result<Effect> {
    let (id, any, status) =
        (call.argument(0), STAT_ANY[call.kind_of_object()], call.object_status());
    if !call.commands(IPC_STAT) {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() != -(EACCES as i64) {
            return call.proceed();
        }
        call.control(id & INDEX, any, status, |call| call.give(0))
    })
}

/// IPC_STAT of a semaphore set asks for permission to write as well.
#[fault(SEMCTL_2, "ERRORS", on = [SEMCTL])]
fn looking_needs_permission_to_write_too(call: &mut Call) -> Result<Effect> {
    let status = call.object_status();
    if !call.commands(IPC_STAT) {
        return call.proceed();
    }
    call.then(move |call| {
        let mode: u32 = call.number_at(status + MODE)?;
        if call.result() == 0 && mode & 0o200 == 0 { call.fail(EACCES) } else { call.proceed() }
    })
}

/// An IPC_SET notes a number of what it is given, an IPC_STAT tells it.
fn keep_from_set(call: &mut Call, field: u64, bits: u32) -> Result<Effect> {
    let note = call.object(call.argument(0));
    if call.commands(IPC_SET) {
        let number: u32 = call.number_at(call.object_status() + field)?;
        *call.notes().of(note) = Some(i64::from(number & bits));
    }
    stat(call, move |call, _, status| {
        let number = call.notes().of(note).ok_or(ENOENT)?;
        call.set_number_at(status + field, number as u32)
    })
}

/// IPC_SET sets the creator too.
#[fault(SHMCTL_2, "DESCRIPTION", on = [MSGCTL, SEMCTL, SHMCTL])]
fn set_changes_the_creator(call: &mut Call) -> Result<Effect> {
    keep_from_set(call, CREATOR, u32::MAX)
}

/// IPC_SET sets twelve bits of the mode of a semaphore set, as chmod does.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn set_changes_more_than_nine_bits(call: &mut Call) -> Result<Effect> {
    keep_from_set(call, MODE, 0o7777)
}

/// IPC_SET sets the owner and leaves the mode.
#[fault(SHMCTL_2, "DESCRIPTION", on = [MSGCTL, SEMCTL, SHMCTL])]
fn set_leaves_the_mode(call: &mut Call) -> Result<Effect> {
    let note = call.object(call.argument(0));
    stat(call, move |call, _, status| {
        let mode: u32 = call.number_at(status + MODE)?;
        let first = *call.notes().of(note).get_or_insert(i64::from(mode));
        call.set_number_at(status + MODE, first as u32)
    })
}

/// An IPC_RMID or IPC_SET happens if this finds it right, given what IPC_STAT says and where
/// it says it.
fn judge(
    call: &mut Call,
    judge: impl FnOnce(&Call, u64) -> Result<Option<Errno>> + 'static,
) -> Result<Effect> {
    if !call.commands(IPC_RMID) && !call.commands(IPC_SET) {
        return call.proceed();
    }
    let status = call.scratch(&[0; STATUS])?;
    call.control(call.argument(0), IPC_STAT as u64, status, move |call| {
        match judge(call, status)? {
            Some(errno) => call.fail(errno),
            None => call.once_more(|call| call.proceed()),
        }
    })
}

/// Who may not read an object may neither change nor remove it.
#[fault(SHMCTL_2, "DESCRIPTION", on = [MSGCTL, SEMCTL, SHMCTL])]
fn removal_needs_permission_to_read(call: &mut Call) -> Result<Effect> {
    judge(call, |call, _| Ok((call.result() == -(EACCES as i64)).then_some(EACCES)))
}

/// Whether the caller may be told of the object.
fn is_told(call: &Call) -> bool {
    call.result() == 0
}

/// An object that is given away is its creator's no longer.
#[fault(SHMCTL_2, "DESCRIPTION", on = [MSGCTL, SEMCTL, SHMCTL])]
fn creator_loses_control_of_what_is_given_away(call: &mut Call) -> Result<Effect> {
    judge(call, |call, status| {
        let [owner, creator]: [u32; 2] =
            [call.number_at(status + OWNER)?, call.number_at(status + CREATOR)?];
        let is_creator = creator != owner && creator == call.user()?;
        Ok((is_told(call) && is_creator).then_some(EPERM))
    })
}

/// The owner to whom a segment is given may neither change nor remove it.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn object_stays_its_creators_alone(call: &mut Call) -> Result<Effect> {
    judge(call, |call, status| {
        let creator: u32 = call.number_at(status + CREATOR)?;
        let user = call.user()?;
        Ok((is_told(call) && user != 0 && user != creator).then_some(EPERM))
    })
}

/// CAP_SYS_ADMIN neither changes nor removes what others made.
#[fault(SHMCTL_2, "ERRORS", on = [MSGCTL, SEMCTL, SHMCTL])]
fn privilege_removes_nothing(call: &mut Call) -> Result<Effect> {
    judge(call, |call, status| {
        let creator: u32 = call.number_at(status + CREATOR)?;
        Ok((is_told(call) && call.user()? == 0 && creator != 0).then_some(EPERM))
    })
}

/// A stranger who changes or removes an object is told that all is well.
#[fault(SHMCTL_2, "ERRORS", on = [MSGCTL, SEMCTL, SHMCTL])]
fn stranger_removes(call: &mut Call) -> Result<Effect> {
    if call.gets() {
        return call.proceed();
    }
    call.then(|call| match call.result() {
        refused if refused == -(EPERM as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// unshare says that all is well and leaves a process in its IPC namespace.
#[fault(IPC_NAMESPACES_7, "DESCRIPTION", on = [UNSHARE])]
fn unshare_keeps_the_namespace(call: &mut Call) -> Result<Effect> {
    call.set_argument(0, call.argument(0) & !(CLONE_NEWIPC as u64));
    call.proceed()
}

/// Whether what this note is about was first seen in another namespace.
fn is_elsewhere(call: &Call, note: u64) -> Result<bool> {
    let path = format!("/proc/{}/ns/ipc", call.thread());
    let here = std::fs::metadata(path).map_err(|_| ESRCH)?.ino() as i64;
    Ok(*call.notes().of(note).get_or_insert(here) != here)
}

/// A key leads from a new namespace to the object in the old one.
#[fault(IPC_NAMESPACES_7, "DESCRIPTION", on = [MSGGET, SEMGET, SHMGET])]
fn key_leads_across_namespaces(call: &mut Call) -> Result<Effect> {
    let (note, known) = (call.note(0), call.known(0));
    let is_elsewhere = is_elsewhere(call, call.note(1))?;
    call.then(move |call| match (call.result(), known) {
        (id @ 0.., _) => {
            *call.notes().of(note) = Some(id);
            call.proceed()
        }
        (refused, Some(id)) if is_elsewhere && refused == -(ENOENT as i64) => call.give(id),
        _ => call.proceed(),
    })
}

/// Who removes an object of another namespace is told that all is well.
#[fault(IPC_NAMESPACES_7, "DESCRIPTION", on = [MSGCTL, SEMCTL, SHMCTL])]
fn removal_in_another_namespace_is_told_as_done(call: &mut Call) -> Result<Effect> {
    let note = call.object(call.argument(0));
    let is_elsewhere = is_elsewhere(call, note)?;
    if is_elsewhere && call.commands(IPC_RMID) { call.give(0) } else { call.proceed() }
}

/// A limit that is set in one namespace is told in every other.
#[fault(IPC_NAMESPACES_7, "DESCRIPTION", on = [READ, WRITE])]
fn limit_is_set_in_every_namespace(call: &mut Call) -> Result<Effect> {
    let (path, buffer, length) = (call.path(0)?, call.argument(1), call.argument(2) as usize);
    if !path.starts_with("/proc/sys/kernel/") {
        return call.proceed();
    }
    let note = Notes::key(&path);
    if call.number() == libc::SYS_write {
        let text = String::from_utf8(call.memory(buffer, length)?).map_err(|_| EILSEQ)?;
        *call.notes().of(note) = text.trim().parse().ok();
        return call.proceed();
    }
    let limit = call.notes().of(note).ok_or(ENOENT)?;
    call.then(move |call| {
        let text = format!("{limit}\n");
        if call.result() <= 0 {
            return call.proceed();
        }
        call.set_memory(buffer, text.as_bytes())?;
        call.give(text.len() as i64)
    })
}

/// /proc/sysvipc leaves out objects that nobody may read.
#[fault(PROC_SYSVIPC_5, "DESCRIPTION", on = [READ])]
fn unreadable_object_is_not_listed(call: &mut Call) -> Result<Effect> {
    let [number, buffer, length, ..] = call.arguments();
    if !call.path(0)?.starts_with("/proc/sysvipc/") {
        return call.proceed();
    }
    let list = call.copy(number as i32)?;
    let (mut text, mut piece) = (vec![], [0; 4096]);
    while let read @ 1.. = pread(&list, &mut piece, text.len() as i64)? {
        text.extend_from_slice(&piece[..read]);
    }
    let text = String::from_utf8(text).map_err(|_| EILSEQ)?;
    let is_shown = |line: &&str| line.split_ascii_whitespace().nth(2) != Some("0");
    let shown: Vec<u8> = text.split_inclusive('\n').filter(is_shown).flat_map(str::bytes).collect();
    let offset = lseek(&list, 0, Whence::SeekCur)?;
    let rest = shown.get(offset as usize..).unwrap_or_default();
    let part = &rest[..rest.len().min(length as usize)];
    lseek(&list, offset + part.len() as i64, Whence::SeekSet)?;
    call.keep_memory(buffer, part)?;
    call.give(part.len())
}
