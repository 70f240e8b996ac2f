//! Which Go upstream's releases of etcd are built with.

use super::{GoVersion, UnknownVersion, numbers};

/// A release of etcd to a line: its version, the Go, and where etcd's repository says so; ascending.
const TABLE: &str = include_str!("releases.tsv");

/// A release, ordered as releases follow each other: `3.7.0-alpha.0` is before `3.7.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    numbers: (u16, u16, u16),
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha(u16),
    Beta(u16),
    Candidate(u16),
    Final,
}

impl Release {
    /// A release as it is written; without a patch number the last one of its minor line. What follows otherwise, such as
    /// a distribution's revision, is not looked at.
    fn parse(text: &str) -> Option<Self> {
        let (major, minor, patch) = numbers(text)?;
        let before = |name: &str| -> Option<u16> {
            let (_, rest) = text.split_once(name)?;
            rest.split(|byte: char| !byte.is_ascii_digit()).next()?.parse().ok()
        };
        let stage = before("-alpha.")
            .map(Stage::Alpha)
            .or_else(|| before("-beta.").map(Stage::Beta))
            .or_else(|| before("-rc.").map(Stage::Candidate));
        let numbers = (major, minor, patch.unwrap_or(u16::MAX));
        Some(Self { numbers, stage: stage.unwrap_or(Stage::Final) })
    }

    fn line(&self) -> (u16, u16) {
        (self.numbers.0, self.numbers.1)
    }
}

fn table() -> impl DoubleEndedIterator<Item = (Release, GoVersion)> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| {
        let mut fields = row.split('\t');
        Some((Release::parse(fields.next()?)?, fields.next()?.parse().ok()?))
    })
}

/// The Go of a release. One that is missing has that of the nearest one before it in its minor line; one of a newer line
/// than any that is known, the newest Go.
pub(super) fn go_of(version: &str) -> Result<GoVersion, UnknownVersion> {
    let unknown = || UnknownVersion(version.to_owned());
    let wanted = Release::parse(version).ok_or_else(unknown)?;
    let newest = table().next_back().expect("the table has rows").0;
    if wanted.line() > newest.line() {
        return Ok(GoVersion::NEWEST);
    }
    let before = table().rev().find(|(release, _)| *release <= wanted);
    // The first of its line is before all that are known of it.
    let first = || table().find(|(release, _)| release.line() == wanted.line());
    match before {
        Some((release, go)) if release.line() == wanted.line() => Ok(go),
        other => first().or(other).map(|(_, go)| go).ok_or_else(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> String {
        go_of(text).unwrap().to_string()
    }

    #[test]
    fn the_table_is_sound_and_ascending() {
        let rows: Vec<_> = table().collect();
        assert_eq!(
            rows.len(),
            TABLE.lines().filter(|line| !line.starts_with('#')).count(),
            "a row is no release"
        );
        assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for row in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let source = row.split('\t').nth(2).unwrap();
            assert!(["go-version", "workflow", "changelog", "travis"].contains(&source), "{row}");
        }
    }

    #[test]
    fn the_go_is_that_of_the_file_at_each_tag() {
        let file =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus/etcd-go-versions.tsv");
        let text = std::fs::read_to_string(file).unwrap();
        let rows: Vec<_> = text.lines().filter_map(|line| line.split_once('\t')).collect();
        assert_eq!(rows.len(), 64);
        for (tag, wanted) in rows {
            assert_eq!(go(tag), wanted, "{tag}");
        }
    }

    #[test]
    fn a_release_that_is_missing_has_the_go_of_the_one_before_it() {
        // 3.3.25 and 3.4.18 say nothing.
        assert_eq!((go("3.3.25"), go("3.3.24")), ("1.12.17".to_owned(), "1.12.17".to_owned()));
        assert_eq!(go("3.4.18"), "1.12.17");
        // Later ones than were known when this was written, and the line as a whole.
        assert_eq!((go("3.5.99"), go("3.5")), (go("3.5.33"), go("3.5.33")));
        assert_eq!((go("3.7.0-rc.5"), go("v3.7.0-alpha.3")), (go("3.7.0-rc.0"), go("3.7.0-alpha.0")));
        assert_eq!(go("3.6.0-alpha.0"), "1.17.6");
    }

    #[test]
    fn a_newer_line_has_the_newest_go_and_what_is_no_version_has_none() {
        assert_eq!((go("3.9.0"), go("4.0")), (GoVersion::NEWEST.to_string(), GoVersion::NEWEST.to_string()));
        for text in ["three", "1.0", "", "3", "3.5.x"] {
            assert!(go_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_distributions_revision_changes_nothing() {
        assert_eq!((go("3.4.23-4+b5"), go(" v3.5.16+dfsg ")), (go("3.4.23"), go("3.5.16")));
    }
}
