//! What is in a pipe: bytes in order, and the pages that they lie in.

use smallvec::SmallVec;

use crate::Body;

/// What a write puts at this place of its data. Data of different writes, and
/// different stretches of the same, differ.
pub(super) fn byte(tag: u8, place: usize) -> u8 {
    tag ^ (place as u8).wrapping_mul(0x9d) ^ (place >> 8) as u8
}

/// The same for cases, so many bytes of it.
pub(super) const DATA_IN_RUST: &str = "let data = |tag: u8, bytes: usize| -> Vec<u8> {
        (0..bytes).map(|at| tag ^ (at as u8).wrapping_mul(0x9d) ^ (at >> 8) as u8).collect()
    };";

/// Bytes of one write that lie in one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// Of which write.
    pub tag: u8,
    /// Whether they are the first in their page.
    pub begins_page: bool,
    /// The place of the first unread one in the data of its write.
    pub from: usize,
    /// How many are unread.
    pub length: usize,
}

/// The unread bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Buffer {
    pub runs: SmallVec<[Run; 4]>,
    /// Bytes that are unread.
    pub unread: usize,
    /// Pages of which anything is unread.
    pub pages: usize,
    /// Bytes of the last page that have been written to, read or not.
    pub filled: usize,
}

impl Buffer {
    /// Bytes `from..to` of the write of this tag, in a page of their own.
    pub fn put_in_new_page(&mut self, tag: u8, from: usize, to: usize) {
        self.pages += 1;
        self.filled = 0;
        self.put(Run { tag, begins_page: true, from, length: to - from });
    }

    /// The first bytes of the write of this tag, in the last page.
    pub fn put_behind(&mut self, tag: u8, to: usize) {
        self.put(Run { tag, begins_page: false, from: 0, length: to });
    }

    fn put(&mut self, run: Run) {
        self.filled += run.length;
        self.unread += run.length;
        self.runs.push(run);
    }

    /// How many bytes are unread in the first page of any.
    pub fn first_page(&self) -> usize {
        let others = self.runs.iter().skip(1).take_while(|run| !run.begins_page);
        self.runs.iter().take(1).chain(others).map(|run| run.length).sum()
    }

    /// Takes up to so many bytes out.
    pub fn take(&mut self, most: usize) -> Body {
        let count = most.min(self.unread);
        let mut body = Body::from_elem(0, count);
        let mut done = 0;
        while done < count {
            let run = self.runs[0];
            let part = run.length.min(count - done);
            for (place, byte) in body[done..done + part].iter_mut().enumerate() {
                *byte = self::byte(run.tag, run.from + place);
            }
            self.drop_first(part);
            done += part;
        }
        body
    }

    /// Takes up to so many bytes of the first packet out, and drops its rest.
    pub fn take_packet(&mut self, most: usize) -> Body {
        let packet = self.runs[0].length;
        let body = self.take(most.min(packet));
        if packet > most {
            self.drop_first(packet - most);
        }
        body
    }

    /// Drops so many bytes of the first run; a page of which nothing is
    /// unread is free again.
    fn drop_first(&mut self, bytes: usize) {
        self.unread -= bytes;
        self.runs[0].from += bytes;
        self.runs[0].length -= bytes;
        if self.runs[0].length == 0 {
            self.runs.remove(0);
            let another_page = self.runs.first().is_none_or(|run| run.begins_page);
            self.pages -= usize::from(another_page);
        }
    }
}
