//! Dates as Go before 1.17 reads them, with `encoding/asn1`: by the same rules, with other words where they are wrong.

use ::time::OffsetDateTime;

use super::super::asn1::Fields;
use super::super::go::GoVersion;
use super::super::parse_error::ParseError;
use super::moment;

/// A release whose rules for offsets hold for all of them.
const OLD: GoVersion = GoVersion::new(16, 0);

/// The parts of a layout as `time.Parse` names them.
const PARTS: [&str; 7] = ["2006", "01", "02", "15", "04", "05", "Z0700"];

/// Reads a UTCTime or GeneralizedTime.
pub(in super::super) fn read(fields: &mut Fields<'_>) -> Result<OffsetDateTime, ParseError> {
    let mut rest = *fields;
    let value = rest.any();
    match value {
        Ok(value) if (value.class, value.number, value.constructed) == (0, 24, false) => {
            *fields = rest;
            generalized(value.content)
        }
        _ => utc(fields.read(super::super::asn1::Kind::TIME)?.content),
    }
}

/// Reads a UTCTime's content.
pub(in super::super) fn utc(content: &[u8]) -> Result<OffsetDateTime, ParseError> {
    super::utc(content, OLD).ok_or_else(|| {
        let text = String::from_utf8_lossy(content);
        let short = Layout { parts: &["06", "01", "02", "15", "04", "Z0700"] };
        match short.parse(&text) {
            Ok(serialized) => not_itself(&text, &serialized),
            Err(_) => Layout { parts: &["06", "01", "02", "15", "04", "05", "Z0700"] }.complain(&text),
        }
    })
}

/// Reads a GeneralizedTime's content.
pub(in super::super) fn generalized(content: &[u8]) -> Result<OffsetDateTime, ParseError> {
    super::generalized(content, OLD)
        .ok_or_else(|| Layout { parts: &PARTS }.complain(&String::from_utf8_lossy(content)))
}

fn not_itself(text: &str, serialized: &str) -> ParseError {
    ParseError::plain(format!(
        "asn1: time did not serialize back to the original value and may be invalid: given {text:?}, but serialized \
         as {serialized:?}"
    ))
}

/// The parts of a date, one after the other.
struct Layout {
    parts: &'static [&'static str],
}

impl Layout {
    /// What Go says of a text that is not a date in this layout.
    fn complain(&self, text: &str) -> ParseError {
        match self.parse(text) {
            Ok(serialized) => not_itself(text, &serialized),
            Err(words) => ParseError::plain(words),
        }
    }

    /// The date as Go prints it in this layout, or why there is none.
    fn parse(&self, text: &str) -> Result<String, String> {
        let (mut rest, mut printed) = (text, String::new());
        let range = |what: &str| Err(format!("parsing time \"{text}\": {what} out of range"));
        let mut numbers = [0u32; 7];
        for part in self.parts {
            let bad = || {
                let layout = self.parts.concat();
                format!("parsing time \"{text}\" as \"{layout}\": cannot parse \"{rest}\" as \"{part}\"")
            };
            if *part == "Z0700" {
                let (zone, after) = zone(rest).ok_or_else(bad)?;
                printed.push_str(&zone);
                rest = after;
                continue;
            }
            let at = PARTS.iter().position(|one| one.ends_with(part)).expect("a part of the layout");
            // Only the hour may have one digit.
            let width = match rest.as_bytes() {
                [a, b, ..] if *part == "15" && a.is_ascii_digit() && !b.is_ascii_digit() => 1,
                [a] if *part == "15" && a.is_ascii_digit() => 1,
                _ => part.len(),
            };
            let number =
                rest.get(..width).and_then(|digits| super::number(digits.as_bytes())).ok_or_else(bad)?;
            rest = &rest[width..];
            numbers[at] = number;
            match (*part, number) {
                ("01", 0 | 13..) => return range("month"),
                ("15", 24..) => return range("hour"),
                ("04", 60..) => return range("minute"),
                ("05", 60..) => return range("second"),
                _ => {}
            }
            if *part == "05" {
                rest = without_fraction(rest);
            }
            printed.push_str(&format!("{number:0width$}", width = part.len()));
        }
        if !rest.is_empty() {
            return Err(format!("parsing time \"{text}\": extra text: {rest}"));
        }
        let year = match (self.parts[0], numbers[0]) {
            ("06", short @ 69..) => 1900 + short,
            ("06", short) => 2000 + short,
            (_, year) => year,
        };
        let (month, day) = (numbers[1] as u8, numbers[2] as u8);
        let date = moment(year as i32, format!("{month:02}{day:02}0000Z").as_bytes(), false, OLD);
        if date.is_some() { Ok(printed) } else { range("day") }
    }
}

/// `Z` or an offset, as it is printed, and what follows.
fn zone(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some(("Z".to_owned(), rest));
    }
    let (zone, rest) = (text.get(..5).filter(|zone| zone.is_ascii())?, &text[5..]);
    let bytes = zone.as_bytes();
    let minutes = super::number(&bytes[3..])? + super::number(&bytes[1..3])? * 60;
    match bytes[0] {
        b'+' | b'-' if minutes == 0 => Some(("Z".to_owned(), rest)),
        b'+' | b'-' => Some((format!("{}{:02}{:02}", &zone[..1], minutes / 60, minutes % 60), rest)),
        _ => None,
    }
}

fn without_fraction(text: &str) -> &str {
    match text.strip_prefix('.') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
            rest.trim_start_matches(|digit: char| digit.is_ascii_digit())
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_dates_are_refused_in_gos_words() {
        let words = |text: &str| utc(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            words("260101000000+0000"),
            "asn1: time did not serialize back to the original value and may be invalid: given \
             \"260101000000+0000\", but serialized as \"260101000000Z\""
        );
        assert_eq!(
            words("260101000000"),
            "parsing time \"260101000000\" as \"060102150405Z0700\": cannot parse \"\" as \"Z0700\""
        );
        assert_eq!(words("261301000000Z"), "parsing time \"261301000000Z\": month out of range");
        assert_eq!(words("260230000000Z"), "parsing time \"260230000000Z\": day out of range");
        let words = |text: &str| generalized(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            words("203601010000Z"),
            "parsing time \"203601010000Z\" as \"20060102150405Z0700\": cannot parse \"Z\" as \"05\""
        );
        assert!(words("20260101000000.5Z").ends_with("but serialized as \"20260101000000Z\""));
    }
}
