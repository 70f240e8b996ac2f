//! What the commands that work on the PKI directory have in common.

use ::time::{Duration, OffsetDateTime};

use std::path::Path;

use super::address::refusal;
use super::passphrase::PassphraseArgs;
use super::{Context, Exit, Failure};
use crate::ca::{Authority, CaError, KeyType, Store, Writer};
use crate::files::{FileError, Trust};
use crate::inventory::InventoryError;
use crate::verify::target;

impl From<CaError> for Failure {
    fn from(error: CaError) -> Self {
        let (exit, code) = classify(&error);
        let failure = Self::new(exit, code, error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let (exit, code) = file(&error);
        let failure = Self::new(exit, code, error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None if exit == Exit::Usage => failure.hint("give a file or directory that you may read"),
            None => failure,
        }
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        Self::usage("bad-inventory", error.to_string()).hint(error.hint())
    }
}

fn classify(error: &CaError) -> (Exit, &'static str) {
    match error {
        CaError::BrokenChain { .. } => (Exit::No, "broken-chain"),
        CaError::NoRoot { .. } => (Exit::Usage, "no-root"),
        CaError::NoRootKey { .. } => (Exit::Usage, "no-root-key"),
        CaError::NotACrl { .. } => (Exit::No, "not-a-crl"),
        CaError::NotOurs { .. } => (Exit::No, "not-ours"),
        CaError::UnusableKey { .. } => (Exit::No, "unusable-key"),
        CaError::BadRequest { .. } => (Exit::No, "bad-request"),
        CaError::UnconfirmedNames { .. } => (Exit::No, "unconfirmed-names"),
        CaError::UsageNotAllowed { .. } => (Exit::No, "usage-not-allowed"),
        CaError::BadValue { .. } => (Exit::Usage, "bad-value"),
        CaError::CaExpired { .. } => (Exit::No, "ca-expired"),
        CaError::CaMayNotSign { .. } => (Exit::No, "ca-may-not-sign"),
        CaError::CaNotYetValid { .. } => (Exit::No, "ca-not-yet-valid"),
        CaError::Exists { .. } | CaError::CaExists { .. } => (Exit::No, "exists"),
        CaError::HalfDone { .. } => (Exit::Failed, "half-done"),
        CaError::KeyMismatch { .. } => (Exit::No, "key-mismatch"),
        CaError::KeyReadable { .. } => (Exit::No, "key-readable"),
        CaError::LedgerMissing { .. } => (Exit::No, "ledger-missing"),
        CaError::Lock(crate::files::LockError::Held { .. }) => (Exit::No, "locked"),
        CaError::Lock(crate::files::LockError::File(error)) | CaError::File(error) => file(error),
        CaError::NoCa { .. } => (Exit::Usage, "no-ca"),
        CaError::NoSuchName { .. } => (Exit::No, "no-such-name"),
        CaError::OutsideConstraints { .. } => (Exit::No, "outside-constraints"),
        CaError::OtherCa { .. } => (Exit::No, "other-ca"),
        CaError::PassphraseNeeded { .. } => (Exit::Usage, "passphrase-needed"),
        CaError::Template { .. } => (Exit::Usage, "bad-template"),
        CaError::UnknownProfile { .. } => (Exit::Usage, "unknown-profile"),
        CaError::Unreadable { .. } => (Exit::Usage, "unreadable"),
        CaError::PassphraseNotAscii => (Exit::Usage, "bad-passphrase"),
        CaError::CostlyKey { .. } => (Exit::No, "costly-key"),
        CaError::TooManyNames { .. } => (Exit::No, "too-many-names"),
        CaError::WrongPassphrase { .. } => (Exit::No, "wrong-passphrase"),
        CaError::Crypto { .. } => (Exit::No, "crypto"),
    }
}

/// A path that cannot be read is wrong usage; one that cannot be written is a refusal before anything changed.
fn file(error: &FileError) -> (Exit, &'static str) {
    match error {
        FileError::Exists { .. } => (Exit::No, "exists"),
        FileError::NotRegular { .. } => (Exit::Usage, "not-a-file"),
        FileError::Untrusted { .. } => (Exit::No, "untrusted"),
        FileError::Diverted { .. } => (Exit::No, "untrusted-path"),
        FileError::TooLarge { .. } => (Exit::Usage, "too-large"),
        FileError::Silent { .. } | FileError::Io { action: "read" | "look at", .. } => {
            (Exit::Usage, "unreadable")
        }
        // The file has its name; only that a power cut spares it is not sure.
        FileError::Io { action: "sync", .. } => (Exit::Failed, "cannot-sync"),
        _ => (Exit::No, "cannot-write"),
    }
}

/// A parser for clap that knows the kinds of key, so that `--help` and did-you-mean do too.
pub(super) fn key_type_parser() -> impl clap::builder::TypedValueParser<Value = KeyType> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(KeyType::NAMES)
        .map(|name| name.parse::<KeyType>().expect("clap has checked that it is one of the names"))
}

/// Whose files are believed in the PKI directory.
pub(super) fn trust(context: &Context) -> Trust {
    if context.global.allow_shared_dir { Trust::everybody() } else { Trust::caller() }
}

/// The PKI directory of the global option, with a CA in it, to be read.
pub(super) fn store(context: &Context) -> Result<Store, Failure> {
    Ok(Store::open(&context.global.pki_dir, &trust(context))?)
}

/// The PKI directory of the global option, with or without a CA in it, to be read.
pub(super) fn any_store(context: &Context) -> Result<Store, Failure> {
    Ok(Store::load(&context.global.pki_dir, &trust(context))?)
}

/// The CA of a PKI directory, up to its root; `None` where there is none that can be read.
pub(super) fn issuer(pki_dir: &Path) -> Option<Vec<u8>> {
    let read = |name: &str| target::read(&pki_dir.join(name)).ok().map(|bytes| bytes.to_vec());
    let mut chain = read("issuing-ca.pem").unwrap_or_default();
    chain.extend(read("ca.pem")?);
    Some(chain)
}

/// The same with a CA in it, to be changed by `what`.
pub(super) fn writer(context: &Context, what: &str) -> Result<Writer, Failure> {
    let writer = Writer::open(&context.global.pki_dir, &trust(context), what)?;
    warn_of_ledger(context, writer.store());
    Ok(writer)
}

/// Says which lines of the ledger could not be read.
pub(super) fn warn_of_ledger(context: &Context, store: &Store) {
    store.ledger().warnings().iter().for_each(|warning| context.out.warning(warning));
}

/// Ends a change after its result was printed: `reported` are the names of the result. Where it could not be printed, the
/// next run reports it.
pub(super) fn acknowledge<'a>(
    context: &Context,
    writer: Writer,
    reported: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let reported: std::collections::HashSet<&str> = reported.collect();
    let others: Vec<&str> = writer.recovered().filter(|name| !reported.contains(name)).collect();
    if !others.is_empty() {
        context.out.note(format_args!(
            "an earlier run was interrupted; what it had begun is finished: {}",
            others.join(", ")
        ));
    }
    if writer.has_changed() {
        context.out.check()?;
    }
    writer.acknowledge();
    Ok(())
}

/// A writer with the CA that issues.
pub(super) struct Signing {
    pub(super) writer: Writer,
    pub(super) authority: Authority,
    /// Whether the lock was free for a while, so that what was read before may not hold any more.
    pub(super) was_unlocked: bool,
}

/// Reads the CA's key for a writer. While a passphrase is asked for on the terminal, other runs may have the lock.
pub(super) fn signing(
    context: &Context,
    passphrase: &PassphraseArgs,
    writer: Writer,
    what: &str,
    now: OffsetDateTime,
) -> Result<Signing, Failure> {
    let key = writer.store().ca_key()?;
    if !passphrase.is_asked_for(&key) {
        let words = passphrase.for_ca(context, &key)?;
        let authority = writer.store().authority(key, words.as_ref(), now)?;
        return Ok(Signing { writer, authority, was_unlocked: false });
    }
    drop(writer);
    let words = passphrase.for_ca(context, &key)?;
    let writer = Writer::open(&context.global.pki_dir, &trust(context), what)?;
    let authority = writer.store().authority(writer.store().ca_key()?, words.as_ref(), now)?;
    Ok(Signing { writer, authority, was_unlocked: true })
}

/// A date as people read it.
pub(super) fn date(time: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}

/// Whole days from `now` until `end`, negative when it has passed: one figure for tables, text and JSON.
pub(super) fn days_left(end: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (end - now).whole_seconds().div_euclid(86_400)
}

/// A date with the time to it, such as `2027-11-21 (in 364 days)`.
pub(super) fn expiry(end: OffsetDateTime, now: OffsetDateTime) -> String {
    let when = match days_left(end, now) {
        ..=-3 => format!("expired {} days ago", (now - end).whole_days()),
        -2 => "expired 1 day ago".to_owned(),
        -1 => "expired less than a day ago".to_owned(),
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    format!("{} ({when})", date(end))
}

/// A span of time such as 30d, 12h, 90m; a bare number is days.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "d"),
    };
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        "y" => 31_536_000,
        _ => return Err("give a time such as 30d, 12h or 2w".into()),
    };
    let count: i64 = digits.parse().map_err(|_| "give a time such as 30d, 12h or 2w")?;
    count.checked_mul(seconds).map(Duration::seconds).ok_or_else(|| "that is too long".into())
}

/// A time as JSON has it.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&::time::format_description::well_known::Rfc3339).unwrap_or_default()
}

/// A time for an option: RFC 3339 with `T` or a space, or a date for its beginning in UTC.
pub(super) fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    let mut whole = text.trim().to_owned();
    match whole.as_bytes().get(10) {
        None => whole.push_str("T00:00:00Z"),
        Some(b' ') => whole.replace_range(10..11, "T"),
        Some(_) => {}
    }
    let time = OffsetDateTime::parse(&whole, &::time::format_description::well_known::Rfc3339);
    // A last second that an offset moves beyond the year 9999 has no UTC time.
    time.ok().and_then(|time| time.checked_to_offset(::time::UtcOffset::UTC)).ok_or_else(|| {
        refusal("that is no time", "give a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_options() {
        for (text, expected) in [
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T12:30:00Z", "2027-01-31T12:30:00Z"),
            ("2027-01-31t12:30:00z", "2027-01-31T12:30:00Z"),
            ("2027-01-31T12:30:00.5+02:00", "2027-01-31T10:30:00.5Z"),
            // As `date --rfc-3339=seconds` prints it.
            ("2027-01-31 12:30:00+00:00", "2027-01-31T12:30:00Z"),
        ] {
            assert_eq!(parse_time(text).map(rfc3339).as_deref(), Ok(expected), "{text}");
        }
        for bad in
            ["", "2027", "2027-02-30", "31.01.2027", "2027-01-31T12:30", "9999-12-31T23:59:59-23:59", "now"]
        {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days_are_whole_days_on_either_side_of_the_end() {
        let end = OffsetDateTime::from_unix_timestamp(1_900_000_000).unwrap();
        for (hours, days, text) in [
            (-49, 2, "(in 2 days)"),
            (-47, 1, "(in 1 day)"),
            (-23, 0, "(in less than a day)"),
            (1, -1, "(expired less than a day ago)"),
            (25, -2, "(expired 1 day ago)"),
            (49, -3, "(expired 2 days ago)"),
        ] {
            let now = end + Duration::hours(hours);
            assert_eq!(days_left(end, now), days, "{hours} h");
            assert!(expiry(end, now).ends_with(text), "{hours} h: {}", expiry(end, now));
        }
    }
}
