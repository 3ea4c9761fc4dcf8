//! System V message queues.

use std::fmt;
use std::mem::MaybeUninit;

use ipcspec_harness::{Facility, Need, Verdict, remember};
use libc::{
    IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT, c_int, c_long,
    time_t,
};
use nix::Result;
use nix::errno::Errno;

use super::{answer, unique_key};

/// Copies of messages by their place in the queue, a kernel option.
pub const COPIES: Need = Need::Facility(Facility { name: "MSG_COPY", probe: probe_copy });

/// `MSG_STAT_ANY`, which the C library's headers may lack.
pub const MSG_STAT_ANY: c_int = 13;

/// A System V message queue. It is removed when the case is over, not when
/// this value is dropped: how long it lives is what some cases are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// The identifier that `msgget` gave.
    pub id: i32,
}

/// A type and a body in one piece of memory, as the kernel reads and writes
/// them; there may be room behind the body.
#[derive(Clone)]
pub struct Message {
    /// The type, then the room for the body.
    words: Vec<c_long>,
    /// Bytes of body.
    length: usize,
}

/// What [`Message::room`] fills the room with.
pub const POISON: u8 = 0xA5;

impl Message {
    /// A message of this type, with this body.
    pub fn new(kind: c_long, body: &[u8]) -> Self {
        let mut message = Self::room(body.len());
        message.words[0] = kind;
        message.length = body.len();
        message.body_mut().copy_from_slice(body);
        message
    }

    /// Room for a body of `size` bytes and of all that a word rounds it up
    /// to, filled with [`POISON`].
    pub fn room(size: usize) -> Self {
        let word = c_long::from_ne_bytes([POISON; size_of::<c_long>()]);
        let mut words = vec![word; 1 + size.div_ceil(size_of::<c_long>())];
        words[0] = 0;
        Self { words, length: 0 }
    }

    /// Makes it this message, without asking for memory when it has held one
    /// as long.
    pub fn set(&mut self, kind: c_long, body: &[u8]) {
        self.set_room(body.len());
        self.words[0] = kind;
        self.length = body.len();
        self.body_mut().copy_from_slice(body);
    }

    /// Makes it room for a body of `size` bytes, with at least a word of
    /// [`POISON`] behind them.
    pub fn set_room(&mut self, size: usize) {
        let word = c_long::from_ne_bytes([POISON; size_of::<c_long>()]);
        self.words.clear();
        self.words.resize(2 + size.div_ceil(size_of::<c_long>()), word);
        self.words[0] = 0;
        self.length = 0;
    }

    /// Its type.
    pub fn kind(&self) -> c_long {
        self.words[0]
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.bytes()[..self.length]
    }

    /// Its body, to be changed.
    pub fn body_mut(&mut self) -> &mut [u8] {
        let words = &mut self.words[1..];
        // SAFETY: a shorter view of the same words; bytes have no invalid
        // values.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), self.length) }
    }

    /// All that stands behind the type: the body and the room behind it.
    pub fn bytes(&self) -> &[u8] {
        let words = &self.words[1..];
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.body()) == (other.kind(), other.body())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} {}", self.kind(), ipcspec_harness::show::bytes(self.body()))
    }
}

/// What `msqid_ds` tells, by the names that msgctl(2) gives the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stat {
    pub uid: u32,
    pub gid: u32,
    pub cuid: u32,
    pub cgid: u32,
    /// The permission bits and what the kernel adds to them.
    pub mode: u32,
    /// Seconds since the epoch, as are the other two times.
    pub stime: time_t,
    pub rtime: time_t,
    pub ctime: time_t,
    /// Bytes.
    pub cbytes: u64,
    /// Messages.
    pub qnum: u64,
    /// Bytes.
    pub qbytes: u64,
    pub lspid: i32,
    pub lrpid: i32,
}

// Some targets count with 32 bits.
#[allow(clippy::useless_conversion)]
impl From<&libc::msqid_ds> for Stat {
    fn from(ds: &libc::msqid_ds) -> Self {
        Self {
            uid: ds.msg_perm.uid,
            gid: ds.msg_perm.gid,
            cuid: ds.msg_perm.cuid,
            cgid: ds.msg_perm.cgid,
            mode: ds.msg_perm.mode.into(),
            stime: ds.msg_stime,
            rtime: ds.msg_rtime,
            ctime: ds.msg_ctime,
            cbytes: ds.__msg_cbytes.into(),
            qnum: ds.msg_qnum.into(),
            qbytes: ds.msg_qbytes.into(),
            lspid: ds.msg_lspid,
            lrpid: ds.msg_lrpid,
        }
    }
}

/// What `IPC_INFO` and `MSG_INFO` tell, by the names that msgctl(2) gives the
/// fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Info {
    /// What the call returned.
    pub highest_index: i32,
    pub msgpool: i32,
    pub msgmap: i32,
    pub msgmax: i32,
    pub msgmnb: i32,
    pub msgmni: i32,
    pub msgtql: i32,
}

impl Queue {
    /// `msgget(key, flags)`; the queue is removed when the case is over.
    pub fn open(key: libc::key_t, flags: c_int) -> Result<Self> {
        // SAFETY: msgget takes no pointer.
        let id = answer(unsafe { libc::msgget(key, flags) })?;
        let _ = remember(remove, id.into());
        Ok(Self { id })
    }

    /// A new private queue outside of any case: whoever makes it removes it.
    pub fn unremembered() -> Result<Self> {
        // SAFETY: msgget takes no pointer.
        let id = answer(unsafe { libc::msgget(IPC_PRIVATE, 0o600) })?;
        Ok(Self { id })
    }

    /// A new private queue.
    pub fn private() -> Verdict<Self> {
        Ok(Self::open(IPC_PRIVATE, 0o600)?)
    }

    /// A new private queue with this `msg_qbytes`.
    pub fn with_qbytes(qbytes: u64) -> Verdict<Self> {
        let queue = Self::private()?;
        queue.set_qbytes(qbytes)?;
        Ok(queue)
    }

    /// A new queue under a key of its own; the key.
    pub fn keyed() -> Verdict<(Self, libc::key_t)> {
        let key = unique_key();
        Ok((Self::open(key, IPC_CREAT | IPC_EXCL | 0o600)?, key))
    }

    /// `msgsnd` of a message made of `kind` and `body`.
    pub fn send(self, kind: c_long, body: &[u8], flags: c_int) -> Result<()> {
        self.send_message(&Message::new(kind, body), body.len() as isize, flags)
    }

    /// `msgsnd` of the first `size` bytes of a message's body. `size` may be
    /// negative.
    pub fn send_message(self, message: &Message, size: isize, flags: c_int) -> Result<()> {
        assert!(size <= message.length as isize);
        // SAFETY: the memory holds a type and at least `size` bytes.
        answer(unsafe {
            libc::msgsnd(self.id, message.words.as_ptr().cast(), size as usize, flags)
        })
        .map(drop)
    }

    /// `msgsnd` of a message at an address where nothing is.
    pub fn send_from_nowhere(self) -> Result<()> {
        // SAFETY: the kernel looks at the address, this process does not.
        answer(unsafe { libc::msgsnd(self.id, std::ptr::null(), 1, 0) }).map(drop)
    }

    /// `msgrcv` of a message with up to `size` bytes of body.
    pub fn receive(self, size: usize, kind: c_long, flags: c_int) -> Result<Message> {
        let mut message = Message::room(size);
        self.receive_into(&mut message, size as isize, kind, flags)?;
        Ok(message)
    }

    /// `msgrcv` into the room of `message`, of up to `size` bytes of body;
    /// how many came. `size` may be negative.
    pub fn receive_into(
        self,
        message: &mut Message,
        size: isize,
        kind: c_long,
        flags: c_int,
    ) -> Result<usize> {
        assert!(size <= message.bytes().len() as isize);
        let address = message.words.as_mut_ptr().cast();
        // SAFETY: there is room for a type and at least `size` bytes.
        let got = unsafe { libc::msgrcv(self.id, address, size as usize, kind, flags) };
        message.length = answer(got)? as usize;
        Ok(message.length)
    }

    /// `msgrcv` of the first message to an address where nothing is.
    pub fn receive_to_nowhere(self) -> Result<()> {
        // SAFETY: nothing is mapped there that the kernel could write to.
        answer(unsafe { libc::msgrcv(self.id, std::ptr::null_mut(), 64, 0, IPC_NOWAIT) }).map(drop)
    }

    /// `IPC_STAT`.
    pub fn stat(self) -> Result<Stat> {
        Ok(Stat::from(&self.raw_stat(IPC_STAT)?.1))
    }

    /// `MSG_STAT` or `MSG_STAT_ANY`, which take an index instead of an
    /// identifier; the queue that it belongs to.
    pub fn stat_of_index(index: i32, command: c_int) -> Result<(Self, Stat)> {
        let (id, ds) = Self { id: index }.raw_stat(command)?;
        Ok((Self { id }, Stat::from(&ds)))
    }

    /// `IPC_SET` with nothing changed but `msg_qbytes`.
    pub fn set_qbytes(self, qbytes: u64) -> Result<()> {
        self.set(|ds| ds.msg_qbytes = qbytes as _)
    }

    /// `IPC_SET` with nothing changed but the permission bits.
    pub fn set_mode(self, mode: u32) -> Result<()> {
        self.set(|ds| ds.msg_perm.mode = mode as _)
    }

    /// `IPC_SET` with nothing changed but the owner and the owner's group.
    pub fn set_owner(self, uid: u32, gid: u32) -> Result<()> {
        self.set(|ds| (ds.msg_perm.uid, ds.msg_perm.gid) = (uid, gid))
    }

    fn set(self, change: impl FnOnce(&mut libc::msqid_ds)) -> Result<()> {
        let (_, mut ds) = self.raw_stat(IPC_STAT)?;
        change(&mut ds);
        // SAFETY: the structure is on this stack.
        answer(unsafe { libc::msgctl(self.id, IPC_SET, &raw mut ds) }).map(drop)
    }

    /// `IPC_RMID`.
    pub fn remove(self) -> Result<()> {
        self.ctl_without_buffer(IPC_RMID)
    }

    /// `msgctl` with no buffer, for `IPC_RMID` and for calls that must fail.
    pub fn ctl_without_buffer(self, command: c_int) -> Result<()> {
        // SAFETY: nothing is mapped there that the kernel could write to.
        answer(unsafe { libc::msgctl(self.id, command, std::ptr::null_mut()) }).map(drop)
    }

    /// `IPC_INFO` or `MSG_INFO`.
    pub fn info(command: c_int) -> Result<Info> {
        let mut info = MaybeUninit::<libc::msginfo>::zeroed();
        // SAFETY: these two commands write one msginfo, which is plain data.
        let (highest_index, info) = unsafe {
            let highest = answer(libc::msgctl(0, command, info.as_mut_ptr().cast()))?;
            (highest, info.assume_init())
        };
        Ok(Info {
            highest_index,
            msgpool: info.msgpool,
            msgmap: info.msgmap,
            msgmax: info.msgmax,
            msgmnb: info.msgmnb,
            msgmni: info.msgmni,
            msgtql: info.msgtql,
        })
    }

    fn raw_stat(self, command: c_int) -> Result<(c_int, libc::msqid_ds)> {
        let mut ds = MaybeUninit::<libc::msqid_ds>::zeroed();
        // SAFETY: these commands write one msqid_ds, which is plain data.
        unsafe {
            let got = answer(libc::msgctl(self.id, command, ds.as_mut_ptr()))?;
            Ok((got, ds.assume_init()))
        }
    }
}

fn remove(id: i64) {
    let _ = Queue { id: id as i32 }.remove();
}

fn probe_copy() -> Result<()> {
    // SAFETY: msgget takes no pointer.
    let queue = Queue { id: answer(unsafe { libc::msgget(IPC_PRIVATE, 0o600) })? };
    let got = queue.receive(1, 0, IPC_NOWAIT | libc::MSG_COPY);
    queue.remove()?;
    match got {
        Err(Errno::ENOSYS) => Err(Errno::ENOSYS),
        _ => Ok(()),
    }
}
