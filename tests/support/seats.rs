//! Heavy tests take seats before they begin, so that only so many run at the same time: in all test programs together,
//! since `.ci/test` runs several of them at once.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// How often a test that waits for seats looks for free ones.
const INTERVAL: Duration = Duration::from_millis(50);

/// Seats, taken until this is dropped. Each is a locked file below `target/tmp`, so that the seats of a program that was
/// killed are free again.
pub(crate) struct Seats {
    _files: Vec<File>,
}

impl Seats {
    /// All that there are: four for each processor. A rehearsal or a lab of one host takes two, a lab of more hosts three.
    pub(crate) fn all() -> usize {
        4 * std::thread::available_parallelism().map_or(2, |all| all.get().max(2))
    }

    /// Waits for so many. Tests that wait are served one after the other, so that those that want many get them, too.
    pub(crate) fn take(wanted: usize) -> Self {
        assert!(wanted <= Self::all());
        let _turn = {
            let turn = open("turn");
            turn.lock().expect("a file of our own can be locked");
            turn
        };
        let mut files = Vec::new();
        loop {
            // Those that this test holds already are locked, and are passed over.
            let free = (0..Self::all()).map(|seat| open(&format!("seat-{seat}"))).filter(is_free);
            files.extend(free.take(wanted - files.len()));
            if files.len() == wanted {
                return Self { _files: files };
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

fn open(name: &str) -> File {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seats");
    std::fs::create_dir_all(&dir).expect("target/tmp can be written");
    File::options().create(true).append(true).open(dir.join(name)).expect("target/tmp can be written")
}

/// Locks it, if nobody else has.
fn is_free(seat: &File) -> bool {
    match seat.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => panic!("a seat cannot be locked: {error}"),
    }
}
