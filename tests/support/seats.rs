//! Heavy tests sit down before they begin: as many at once as there are processors, however many threads run tests, most
//! of which only wait.

use std::sync::{Condvar, Mutex};

static TAKEN: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// Held while something heavy runs.
pub(crate) struct Seat(());

impl Seat {
    /// Waits for one.
    pub(crate) fn take() -> Self {
        let all = std::thread::available_parallelism().map_or(2, |all| all.get().max(2));
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
