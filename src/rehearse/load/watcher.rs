//! One client that watches: after a cut it goes on at another member, from the last revision it was told of.

use std::sync::atomic::Ordering;

use super::targets::Circle;
use super::{ATTEMPT, PAUSE, PREFIX, Shared};
use crate::etcd::{EtcdError, Fault};

pub(super) fn watch(shared: &Shared, index: usize, from: u64) {
    let mut circle = Circle::new(&shared.targets, index, ATTEMPT);
    let mut next = from;
    let mut in_vain = 0;
    while !shared.stop_watching.load(Ordering::Relaxed) {
        circle.follow(&shared.targets);
        let before = next;
        let mut watched = watch_one(shared, index, &circle, &mut next);
        if watched.as_ref().is_err_and(is_behind) {
            watched = read_all(shared, &circle, &mut next);
        }
        if let Err(error) = watched {
            shared.note_trouble(format!("the watcher: {error}"));
        }
        in_vain = if next == before { in_vain + 1 } else { 0 };
        if in_vain > 0 && in_vain % circle.len() == 0 {
            std::thread::sleep(PAUSE);
        }
        circle.advance();
    }
}

/// Whether the member no longer has the next event: v2 keeps the last 1,000, and a watcher on a busy machine falls behind.
fn is_behind(error: &EtcdError) -> bool {
    const EVENT_INDEX_CLEARED: i64 = 401;
    matches!(error.fault, Fault::Server { code: Some(EVENT_INDEX_CLEARED), .. })
}

/// Reads all keys and goes on after the newest, as etcd's documentation of v2 has it for a client that fell behind. No key is
/// written twice, so that none is passed over.
fn read_all(shared: &Shared, circle: &Circle, next: &mut u64) -> Result<(), EtcdError> {
    for kv in circle.current().get_prefix(PREFIX)? {
        *next = (*next).max(kv.revision + 1);
        shared.seen().insert(kv.key.trim_start_matches('/').to_owned(), kv.value);
    }
    Ok(())
}

/// Watches one member from `next` on, until it errs, or this is to end or to go elsewhere.
fn watch_one(shared: &Shared, index: usize, circle: &Circle, next: &mut u64) -> Result<(), EtcdError> {
    let mut events = circle.current().watch(PREFIX, *next)?;
    while let Some(event) = events.next().transpose()? {
        *next = events.next_revision();
        shared.served[index].store(circle.generation(), Ordering::Release);
        let key = event.kv.key.trim_start_matches('/').to_owned();
        shared.seen().insert(key, event.kv.value);
        if circle.is_outdated(&shared.targets) || shared.stop_watching.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}
