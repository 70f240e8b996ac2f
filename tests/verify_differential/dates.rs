//! Validity periods: sound ones, ones that are over or to come, ones that end or begin this very second, and texts that
//! are no dates to DER.

use time::{Duration, OffsetDateTime};

use super::der;
use super::dice::Dice;

/// The content of a certificate's validity field.
pub(crate) fn validity(dice: &mut Dice, now: OffsetDateTime) -> Vec<u8> {
    let days = |dice: &mut Dice, most: usize| Duration::days(dice.below(most) as i64 + 1);
    let (mut from, mut to) = (now - days(dice, 300), now + days(dice, 3000));
    match dice.rare(70) {
        0 => to = now - Duration::days(1),
        1 => from = now + Duration::days(1),
        2 => to = now,
        3 => from = now,
        4 => to = now - Duration::seconds(1),
        5 => from = now + Duration::seconds(1),
        6 => std::mem::swap(&mut from, &mut to),
        7 => (from, to) = (now, now),
        8 => to = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap(),
        _ => {}
    }
    let (mut first, mut last) = (moment(from), moment(to));
    if dice.seldom(40) {
        let odd = odd_moment(dice, now);
        if dice.one_in(2) { first = odd } else { last = odd }
    }
    der::sequence(&[&first, &last])
}

fn text(of: OffsetDateTime) -> String {
    let (date, time) = (of.date(), of.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second())
}

/// UTCTime before 2050, GeneralizedTime from then on.
fn moment(of: OffsetDateTime) -> Vec<u8> {
    let text = text(of);
    if (1950..2050).contains(&of.year()) {
        der::tlv(0x17, &text.as_bytes()[2..])
    } else {
        der::tlv(0x18, text.as_bytes())
    }
}

fn odd_moment(dice: &mut Dice, now: OffsetDateTime) -> Vec<u8> {
    let now = text(now);
    // Now, in the other type; and around it.
    if dice.one_in(4) {
        let tail = dice.pick(&[
            "Z", "", "+0000", "-0000", "+0100", "-0100", "+2400", "+2359", "+2500", "+0060", ".5Z", ",5Z",
            ".000Z", "z", "ZZ", "+01:00", "+01",
        ]);
        let digits = &now[..now.len() - 1];
        let digits = if dice.one_in(3) { &digits[..digits.len() - 2] } else { digits };
        let text = format!("{digits}{tail}");
        return if dice.one_in(2) {
            der::tlv(0x18, text.as_bytes())
        } else {
            der::tlv(0x17, &text.as_bytes()[2..])
        };
    }
    let (tag, text) = dice.pick(&[
        (0x18, "20491231235959Z"),
        (0x18, "20500101000000Z"),
        (0x18, "99991231235959Z"),
        (0x18, "00000101000000Z"),
        (0x18, "19700101000000Z"),
        (0x18, "10000101000000Z"),
        (0x18, "20260230000000Z"),
        (0x18, "20261301000000Z"),
        (0x18, "20260001000000Z"),
        (0x18, "20260100000000Z"),
        (0x18, "20260101240000Z"),
        (0x18, "20260101006000Z"),
        (0x18, "20260101000060Z"),
        (0x18, "00010101000000+0100"),
        (0x18, "99991231235959-0100"),
        (0x18, "20280229000000Z"),
        (0x18, "2 280229000000Z"),
        (0x18, ""),
        (0x17, "491231235959Z"),
        (0x17, "500101000000Z"),
        (0x17, "991231235959Z"),
        (0x17, "000101000000Z"),
        (0x17, "700101000000Z"),
        (0x17, "260229000000Z"),
        (0x17, "280229000000Z"),
        (0x17, "49123123595Z"),
        (0x17, "491231235960Z"),
        (0x17, "4912312359Z"),
        (0x17, "4912312359+0100"),
        (0x17, "500101000000+0100"),
        (0x17, "+91231235959Z"),
        (0x17, ""),
        (0x16, "491231235959Z"),
        (0x02, "\u{1}"),
    ]);
    der::tlv(tag, text.as_bytes())
}
