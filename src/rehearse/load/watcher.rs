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
        let watching = circle.current().watch(PREFIX, next);
        if let Err(error) = &watching {
            shared.note_trouble(format!("the watcher: {error}"));
        }
        if let Ok(mut events) = watching {
            while let Some(event) = events.next() {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        shared.note_trouble(format!("the watcher: {error}"));
                        break;
                    }
                };
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
