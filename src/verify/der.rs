//! A DER reader that accepts what Go's `cryptobyte` accepts, no more and no less: low tag numbers only, definite
//! minimal lengths, minimal integers, BOOLEAN 00 or FF, clean BIT STRING padding. Trailing bytes after what was
//! asked for are the caller's business, as they are in Go.
//!
//! x509-parser accepts more here and less there (long-form lengths, padded integers, BOOLEAN 01, but not a path
//! length above 2^32), so what decides a verdict is read with this one.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const NUMERIC_STRING: u8 = 0x12;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const T61_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// A context-specific tag, primitive.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// A context-specific tag, constructed.
pub(crate) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Bytes that are still to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

/// One element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    /// The identifier octet.
    pub(crate) tag: u8,
    /// Header and content.
    pub(crate) full: &'a [u8],
    /// The content alone.
    pub(crate) content: &'a [u8],
}

/// A BIT STRING: its bytes and how many of the last byte's bits are unused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BitString<'a> {
    /// The bytes.
    pub(crate) bytes: &'a [u8],
    /// 0 to 7.
    pub(crate) padding: u8,
}

impl<'a> BitString<'a> {
    /// The bits of an element's content; `None` where the unused ones are not zero.
    pub(crate) fn of(content: &'a [u8]) -> Option<Self> {
        let (&padding, bytes) = content.split_first()?;
        let clean = match bytes.last() {
            _ if padding > 7 => false,
            None => padding == 0,
            Some(last) => last & ((1u8 << padding) - 1) == 0,
        };
        clean.then_some(Self { bytes, padding })
    }

    /// The bytes moved right so that the last bit is the lowest of the last byte.
    pub(crate) fn right_aligned(&self) -> Vec<u8> {
        if self.padding == 0 {
            return self.bytes.to_vec();
        }
        let mut carry = 0u8;
        let mut out = Vec::with_capacity(self.bytes.len());
        for &byte in self.bytes {
            out.push(carry | (byte >> self.padding));
            carry = byte << (8 - self.padding);
        }
        out
    }

    /// Bit number `index`, the highest of the first byte being 0; absent bits are 0.
    pub(crate) fn bit(&self, index: usize) -> bool {
        let used = self.bytes.len() * 8 - usize::from(self.padding);
        index < used && self.bytes[index / 8] & (0x80 >> (index % 8)) != 0
    }
}

impl<'a> Der<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the next element has this tag.
    pub(crate) fn peek(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next element, whatever it is.
    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        let (&tag, &first) = (self.0.first()?, self.0.get(1)?);
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (header, length) = if first & 0x80 == 0 {
            (2, usize::from(first))
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let bytes = self.0.get(2..2 + count)?;
            let length = bytes.iter().fold(0usize, |sum, &byte| (sum << 8) | usize::from(byte));
            if length < 128 || bytes[0] == 0 {
                return None;
            }
            (2 + count, length)
        };
        let full = self.0.get(..header.checked_add(length)?)?;
        self.0 = &self.0[full.len()..];
        Some(Element { tag, full, content: &full[header..] })
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn read(&mut self, tag: u8) -> Option<Self> {
        let mut rest = *self;
        let element = rest.any().filter(|element| element.tag == tag)?;
        *self = rest;
        Some(Self(element.content))
    }

    /// The next element with its header, which must have this tag.
    pub(crate) fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = *self;
        let element = rest.any().filter(|element| element.tag == tag)?;
        *self = rest;
        Some(element.full)
    }

    /// The content of the next element if it has this tag; the outer `None` is a malformed one.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<Self>> {
        if self.peek(tag) { self.read(tag).map(Some) } else { Some(None) }
    }

    /// The bytes of a minimal two's-complement integer.
    pub(crate) fn integer(&mut self) -> Option<&'a [u8]> {
        self.integer_with(INTEGER)
    }

    fn integer_with(&mut self, tag: u8) -> Option<&'a [u8]> {
        let bytes = self.read(tag)?.0;
        match bytes {
            [] => None,
            [0, next, ..] if next & 0x80 == 0 => None,
            [0xff, next, ..] if next & 0x80 != 0 => None,
            _ => Some(bytes),
        }
    }

    /// An integer that fits 64 bits, with sign.
    pub(crate) fn int64(&mut self) -> Option<i64> {
        self.int64_with(INTEGER)
    }

    /// The same under another tag.
    pub(crate) fn int64_with(&mut self, tag: u8) -> Option<i64> {
        let bytes = self.integer_with(tag)?;
        if bytes.len() > 8 {
            return None;
        }
        let start = if bytes[0] & 0x80 != 0 { -1i64 } else { 0 };
        Some(bytes.iter().fold(start, |sum, &byte| (sum << 8) | i64::from(byte)))
    }

    pub(crate) fn boolean(&mut self) -> Option<bool> {
        match self.read(BOOLEAN)?.0 {
            [0] => Some(false),
            [0xff] => Some(true),
            _ => None,
        }
    }

    pub(crate) fn bit_string(&mut self) -> Option<BitString<'a>> {
        BitString::of(self.read(BIT_STRING)?.0)
    }

    /// An OBJECT IDENTIFIER's content; every arc must fit 31 bits. `minimal` refuses arcs that begin with 0x80.
    pub(crate) fn oid(&mut self, minimal: bool) -> Option<&'a [u8]> {
        let bytes = self.read(OID)?.0;
        if bytes.is_empty() || bytes.last().is_some_and(|last| last & 0x80 != 0) {
            return None;
        }
        let (mut value, mut length) = (0u64, 0);
        for &byte in bytes {
            if length == 5 || value >= 1 << 24 || (minimal && length == 0 && byte == 0x80) {
                return None;
            }
            value = (value << 7) | u64::from(byte & 0x7f);
            length += 1;
            if byte & 0x80 == 0 {
                (value, length) = (0, 0);
            }
        }
        Some(bytes)
    }
}

/// An OBJECT IDENTIFIER's content as dotted numbers.
pub(crate) fn dotted(oid: &[u8]) -> String {
    let mut arcs = Vec::new();
    let mut value = 0u64;
    for &byte in oid {
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (value / 40).min(2);
                arcs.push(first.to_string());
                value -= first * 40;
            }
            arcs.push(value.to_string());
            value = 0;
        }
    }
    arcs.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_be_minimal_and_within_the_bytes() {
        assert!(Der(&[0x04, 0x01, 0xaa]).read(OCTET_STRING).is_some());
        assert!(Der(&[0x04, 0x81, 0x01, 0xaa]).read(OCTET_STRING).is_none(), "long form of a short length");
        assert!(Der(&[0x04, 0x02, 0xaa]).read(OCTET_STRING).is_none(), "more promised than there is");
        assert!(Der(&[0x30, 0x80, 0x00, 0x00]).read(SEQUENCE).is_none(), "indefinite length");
        assert!(Der(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).any().is_none());
        assert!(Der(&[0x1f, 0x01, 0x00]).any().is_none(), "high tag number");
    }

    #[test]
    fn integers_booleans_and_bit_strings_are_strict() {
        assert_eq!(Der(&[2, 1, 0xff]).int64(), Some(-1));
        assert_eq!(Der(&[2, 2, 0x00, 0xff]).int64(), Some(255));
        assert_eq!(Der(&[2, 2, 0x00, 0x7f]).int64(), None, "padded");
        assert_eq!(Der(&[2, 0]).int64(), None, "empty");
        assert_eq!(Der(&[1, 1, 1]).boolean(), None);
        assert!(Der(&[3, 2, 1, 1]).bit_string().is_none(), "padding bits must be zero");
        let bits = Der(&[3, 2, 5, 0b1010_0000]).bit_string().unwrap();
        assert_eq!((bits.bit(0), bits.bit(1), bits.bit(2), bits.bit(9)), (true, false, true, false));
        assert_eq!(bits.right_aligned(), [0b101]);
    }

    #[test]
    fn object_identifiers_print_as_people_write_them() {
        assert_eq!(dotted(Der(&[6, 3, 0x55, 0x1d, 0x11]).oid(true).unwrap()), "2.5.29.17");
        assert_eq!(dotted(&[0x2b, 6, 1, 5, 5, 7, 3, 2]), "1.3.6.1.5.5.7.3.2");
        assert!(Der(&[6, 2, 0x80, 1]).oid(true).is_none());
        assert!(Der(&[6, 2, 0x80, 1]).oid(false).is_some());
    }
}
