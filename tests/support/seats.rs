//! Heavy tests sit down before they begin: so many at once, however many threads run tests, most of which only wait.

use std::sync::{Condvar, Mutex};

static TAKEN: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// Held while something heavy runs.
pub(crate) struct Seat(());

impl Seat {
    /// Waits for one of so many. They are one row: whoever shares it names the same number.
    pub(crate) fn take_of(all: usize) -> Self {
        let taken = TAKEN.lock().unwrap();
        *LEFT.wait_while(taken, |taken| *taken >= all).unwrap() += 1;
        Self(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap() -= 1;
        LEFT.notify_one();
    }
}
