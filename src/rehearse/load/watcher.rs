//! One client that watches: after a cut it goes on at another member, from the last revision it was told of.

use std::sync::atomic::Ordering;

use super::targets::Circle;
use super::{ATTEMPT, PAUSE, PREFIX, Shared};

pub(super) fn watch(shared: &Shared, index: usize, from: u64) {
    let mut circle = Circle::new(&shared.targets, index, ATTEMPT);
    let mut next = from;
    let mut tried = 0;
    while !shared.stop_watching.load(Ordering::Relaxed) {
        circle.follow(&shared.targets);
        let mut was_served = false;
        if let Ok(mut events) = circle.current().watch(PREFIX, next) {
            while let Some(Ok(event)) = events.next() {
                was_served = true;
                shared.served[index].store(circle.generation(), Ordering::Release);
                let key = event.kv.key.trim_start_matches('/').to_owned();
                shared.seen().insert(key, event.kv.value);
                if circle.is_outdated(&shared.targets) || shared.stop_watching.load(Ordering::Relaxed) {
                    break;
                }
            }
            next = events.next_revision();
        }
        if was_served {
            tried = 0;
        } else {
            tried += 1;
            if tried % circle.len() == 0 {
                std::thread::sleep(PAUSE);
            }
        }
        circle.advance();
    }
}
