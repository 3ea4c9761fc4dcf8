//! Bytes, read as choices.

/// The bytes of one operation. Each choice reads one byte, a wide one two;
/// when there are none left, each choice is the first. So every string of
/// bytes means something, a changed byte changes one choice, and zeroes are
/// the simplest.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    bytes: [u8; Self::BYTES],
    at: usize,
}

impl Seed {
    /// Bytes of one operation.
    pub const BYTES: usize = 8;

    /// The seed of these bytes.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self { bytes, at: 0 }
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// A number below `count`, which is at most 256.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// A number from `first` to `last`; the first is the simplest.
    pub fn within(&mut self, first: i32, last: i32) -> i32 {
        first + self.below((last - first + 1) as usize) as i32
    }

    /// A number of 16 bits.
    pub fn wide(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// One of these; the first is the simplest.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Yes, once in `rarity` times; no is the simplest.
    pub fn rarely(&mut self, rarity: usize) -> bool {
        self.below(rarity) == rarity - 1
    }
}
