//! Numbers that are the same in every run with the same seed.
#![allow(dead_code, reason = "each test uses its part")]

/// splitmix64.
#[derive(Clone)]
pub(crate) struct Dice {
    state: u64,
    /// How many times less often than usual the rare happens.
    pub(crate) calm: usize,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, calm: 1 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `limit` - 1; 0 where there is nothing to choose from.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// As [`Self::below`] where all but the first few numbers mean that nothing special happens.
    pub(crate) fn rare(&mut self, n: usize) -> usize {
        self.below(n * self.calm)
    }

    /// As [`Self::one_in`], for what is special.
    pub(crate) fn seldom(&mut self, n: usize) -> bool {
        self.rare(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
