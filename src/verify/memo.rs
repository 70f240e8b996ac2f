//! Signatures of intermediates that were checked a moment ago.
//!
//! Many leaves come with the same intermediate, and its signature costs as much as the leaf's own. What holds once holds
//! again, so the last few answers of a thread are kept by their digest.

use std::cell::RefCell;
use std::collections::HashMap;

use ring::digest::{Context, SHA256};

use super::signature::SignatureError;

/// How many answers are kept: those of many CAs.
const KEPT: usize = 256;

type Answer = Result<(), SignatureError>;

thread_local! {
    static ANSWERS: RefCell<HashMap<[u8; 32], Answer>> = RefCell::new(HashMap::new());
}

/// The answer for these bytes, which must hold all that it depends on; `check` is asked when it is not known.
pub(super) fn once(parts: &[&[u8]], check: impl FnOnce() -> Answer) -> Answer {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    if let Some(known) = ANSWERS.with_borrow(|answers| answers.get(&digest).cloned()) {
        return known;
    }
    let answer = check();
    ANSWERS.with_borrow_mut(|answers| {
        if answers.len() >= KEPT {
            answers.clear();
        }
        answers.insert(digest, answer.clone());
    });
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_checked_once_and_others_are_not_taken_for_them() {
        let asked = std::cell::Cell::new(0);
        let ask = |parts: &[&[u8]]| {
            once(parts, || {
                asked.set(asked.get() + 1);
                if parts[0] == b"bad" { Err(SignatureError::Ecdsa) } else { Ok(()) }
            })
        };
        for _ in 0..3 {
            assert_eq!(ask(&[b"bad", b"er"]), Err(SignatureError::Ecdsa));
            assert_eq!(ask(&[b"ba", b"der"]), Ok(()));
        }
        assert_eq!(asked.get(), 2);
        for number in 0..2 * KEPT {
            ask(&[&number.to_be_bytes()]).unwrap();
        }
        assert!(ANSWERS.with_borrow(HashMap::len) <= KEPT);
    }
}
