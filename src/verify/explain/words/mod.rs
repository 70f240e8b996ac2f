//! The words that programs print, as data: one table for each kind of program.
//!
//! In words, `…` stands for anything, and `‥` for anything without a space or a `]`. Upper case, underscores and backslashes
//! are compared as in [`normalized`].

mod alerts;
mod etcd;
mod files;
mod go;
mod libraries;
mod network;
mod openssl;
mod runtimes;

use crate::verify::Code;

/// How much words say about the cause, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// What each restart and each port check causes too: a refused connection, a connection that was closed.
    Transient,
    /// A setting or a client to correct, which seldom causes the other failures of the same log.
    Notice,
    /// A TLS alert: one side refuses the other and does not say why.
    Alert,
    /// A failed verification without its reason.
    Summary,
    /// The reason itself.
    Reason,
}

/// Which lines words apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Any line.
    Any,
    /// A server reports a connection that it did not accept.
    Inbound,
    /// The same, and the connection came from the server's own address: etcd's gateway.
    SelfDial,
    /// A client, or a member that dials another one, reports its own attempt.
    Outbound,
    /// The text is not from a server's log.
    NotInbound,
}

/// Words, and the pitfalls behind them, the likeliest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) rank: Rank,
    pub(super) when: When,
    pub(super) codes: &'static [Code],
    pub(super) words: &'static [&'static str],
}

impl Entry {
    const fn new(rank: Rank, codes: &'static [Code], words: &'static [&'static str]) -> Self {
        Self { rank, when: When::Any, codes, words }
    }

    const fn reason(codes: &'static [Code], words: &'static [&'static str]) -> Self {
        Self::new(Rank::Reason, codes, words)
    }

    const fn summary(codes: &'static [Code], words: &'static [&'static str]) -> Self {
        Self::new(Rank::Summary, codes, words)
    }

    const fn alert(codes: &'static [Code], words: &'static [&'static str]) -> Self {
        Self::new(Rank::Alert, codes, words)
    }

    const fn notice(codes: &'static [Code], words: &'static [&'static str]) -> Self {
        Self::new(Rank::Notice, codes, words)
    }

    const fn transient(codes: &'static [Code], words: &'static [&'static str]) -> Self {
        Self::new(Rank::Transient, codes, words)
    }

    const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

/// Some words with what they mean.
#[derive(Debug, Clone)]
pub(super) struct Phrase {
    pub(super) words: String,
    pub(super) rank: Rank,
    pub(super) when: When,
    pub(super) codes: &'static [Code],
}

/// All phrases of all tables, normalized.
pub(super) fn phrases() -> Vec<Phrase> {
    let tables = [
        go::CERTIFICATES,
        go::HANDSHAKES,
        etcd::MEMBERS,
        etcd::OPTIONS,
        files::FILES,
        network::NETWORK,
        network::PROTOCOLS,
        openssl::VERIFICATION,
        libraries::LIBRARIES,
        runtimes::PYTHON,
        runtimes::JAVA,
        runtimes::NODE,
        runtimes::OTHERS,
    ];
    let entries = tables.into_iter().flatten().flat_map(|entry| {
        entry.words.iter().map(|words| Phrase {
            words: normalized(words.trim_end_matches(['…', ' '])),
            rank: entry.rank,
            when: entry.when,
            codes: entry.codes,
        })
    });
    entries.chain(alerts::phrases()).collect()
}

/// Text as it is compared: lower case, `_` as a space, without backslashes.
pub(super) fn normalized(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => {}
            '_' => out.push(' '),
            _ if letter.is_ascii() => out.push(letter.to_ascii_lowercase()),
            _ => out.extend(letter.to_lowercase()),
        }
    }
    out
}
