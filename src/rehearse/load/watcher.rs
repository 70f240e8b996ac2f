//! One client that watches: after a cut it goes on at another member, from the last revision it was told of.

use std::sync::atomic::Ordering;

use super::targets::Circle;
use super::{ATTEMPT, PAUSE, PREFIX, Shared};
use crate::etcd::EtcdError;

pub(super) fn watch(shared: &Shared, index: usize, from: u64) {
    let mut circle = Circle::new(&shared.targets, index, ATTEMPT);
    let mut next = from;
    let mut in_vain = 0;
    while !shared.stop_watching.load(Ordering::Relaxed) {
        circle.follow(&shared.targets);
        let before = next;
        if let Err(error) = watch_one(shared, index, &circle, &mut next) {
            shared.note_trouble(format!("the watcher: {error}"));
        }
        in_vain = if next == before { in_vain + 1 } else { 0 };
        if in_vain > 0 && in_vain % circle.len() == 0 {
            std::thread::sleep(PAUSE);
        }
        circle.advance();
    }
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
