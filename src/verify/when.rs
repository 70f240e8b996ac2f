//! Dates as Go reads them in certificates, and as it prints them.

pub(super) mod by_asn1;

use ::time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::der::{self, Der};
use super::go::GoVersion;
use super::parse_error::ParseError;

/// Reads a UTCTime or GeneralizedTime. Go parses the text by its layout, prints it back and wants the same text:
/// so no fractions and no `+0000`, but an offset such as `+0100`, and UTCTime without seconds.
pub(super) fn read(from: &mut Der<'_>, go: GoVersion) -> Result<OffsetDateTime, ParseError> {
    if from.peek(der::UTC_TIME) {
        let text = from.read(der::UTC_TIME).and_then(|content| utc(content.0, go));
        text.ok_or_else(|| ParseError::new("malformed UTCTime"))
    } else if from.peek(der::GENERALIZED_TIME) {
        let text = from.read(der::GENERALIZED_TIME).and_then(|content| generalized(content.0, go));
        text.ok_or_else(|| ParseError::new("malformed GeneralizedTime"))
    } else {
        Err(ParseError::new("unsupported time format"))
    }
}

fn generalized(text: &[u8], go: GoVersion) -> Option<OffsetDateTime> {
    let year = i32::try_from(number(text.get(..4)?)?).ok()?;
    moment(year, &text[4..], true, go)
}

fn utc(text: &[u8], go: GoVersion) -> Option<OffsetDateTime> {
    let short = i32::try_from(number(text.get(..2)?)?).ok()?;
    // 50 to 99 are 1950 to 1999 (RFC 5280, 4.1.2.5.1).
    let year = if short >= 50 { 1900 + short } else { 2000 + short };
    let rest = &text[2..];
    moment(year, rest, true, go).or_else(|| moment(year, rest, false, go))
}

/// `MMDDhhmm[ss]` and `Z` or an offset.
fn moment(year: i32, text: &[u8], seconds: bool, go: GoVersion) -> Option<OffsetDateTime> {
    let digits = if seconds { 10 } else { 8 };
    let field = |at: usize| u8::try_from(number(text.get(at..at + 2)?)?).ok();
    let date = Date::from_calendar_date(year, Month::try_from(field(0)?).ok()?, field(2)?).ok()?;
    let second = if seconds { field(8)? } else { 0 };
    let time = Time::from_hms(field(4)?, field(6)?, second).ok()?;
    let local = PrimitiveDateTime::new(date, time).assume_utc();
    match text.get(digits..)? {
        b"Z" => Some(local),
        [sign @ (b'+' | b'-'), zone @ ..] if zone.len() == 4 => {
            let (hours, minutes) = (number(&zone[..2])?, number(&zone[2..])?);
            let too_far = hours > 24 && go >= GoVersion::OFFSETS_OF_A_DAY;
            if too_far || minutes >= 60 || (hours == 0 && minutes == 0) {
                return None;
            }
            let offset = Duration::minutes(i64::from(hours * 60 + minutes));
            // What lies beyond the year 9999 is as far away as its last second.
            Some(if *sign == b'+' { local.saturating_sub(offset) } else { local.saturating_add(offset) })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

/// As Go prints a moment: `2026-11-21T12:00:00Z`.
pub(crate) fn rfc3339(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc_time_of(text: &str, go: GoVersion) -> Option<String> {
        let mut der = vec![der::UTC_TIME, u8::try_from(text.len()).unwrap()];
        der.extend(text.as_bytes());
        read(&mut Der(&der), go).ok().map(rfc3339)
    }

    fn utc_time(text: &str) -> Option<String> {
        utc_time_of(text, GoVersion::NEWEST)
    }

    #[test]
    fn utc_times() {
        assert_eq!(utc_time("261121120000Z").unwrap(), "2026-11-21T12:00:00Z");
        assert_eq!(utc_time("500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(utc_time("2611211200Z").unwrap(), "2026-11-21T12:00:00Z");
        assert_eq!(utc_time("261121120000+0100").unwrap(), "2026-11-21T11:00:00Z");
        for bad in
            ["261121120000", "261121120000+0000", "261121120000.5Z", "261321120000Z", "260230120000Z", ""]
        {
            assert_eq!(utc_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_offset_may_lead_beyond_the_last_year() {
        let text = b"99991231235959-0100";
        let der = [&[der::GENERALIZED_TIME, u8::try_from(text.len()).unwrap()], &text[..]].concat();
        for go in [GoVersion::new(19, 8), GoVersion::NEWEST] {
            assert_eq!(rfc3339(read(&mut Der(&der), go).unwrap()), "9999-12-31T23:59:59Z");
        }
    }

    #[test]
    fn offsets_of_more_than_a_day_are_dates_to_older_releases() {
        let far = "261121120000+2500";
        assert_eq!(utc_time_of(far, GoVersion::new(22, 0)).unwrap(), "2026-11-20T11:00:00Z");
        assert_eq!(utc_time(far), None);
        assert_eq!(utc_time("261121120000+2400").unwrap(), "2026-11-20T12:00:00Z");
    }
}
