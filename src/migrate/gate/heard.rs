//! What members send to one another, from look to look of one gate.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::etcd::MemberId;

/// How much each member had sent to each other one when it was first asked, in bytes.
#[derive(Debug, Default)]
pub(in crate::migrate) struct Heard(Mutex<BTreeMap<(usize, MemberId), u64>>);

impl Heard {
    /// Begins anew: what was sent before a restart says nothing of what follows it.
    pub(in crate::migrate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether a member has sent more to another since it was first asked. A stream sends something every 5/3 s, and
    /// what is sent by another way counts only when it has arrived.
    pub(in crate::migrate) fn grew(&self, from: usize, to: MemberId, sent: u64) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = heard.entry((from, to)).or_insert(sent);
        // Less: it was started anew.
        *first = sent.min(*first);
        sent > *first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_while_a_gate_waits_is_a_stream() {
        let heard = Heard::default();
        let to = MemberId(1);
        assert!(!heard.grew(0, to, 100), "the first look");
        assert!(!heard.grew(0, to, 100) && !heard.grew(1, to, 200));
        assert!(heard.grew(0, to, 120));
        heard.forget();
        assert!(!heard.grew(0, to, 140) && !heard.grew(0, to, 20) && heard.grew(0, to, 21));
    }
}
