//! Fields as Go's `encoding/asn1` reads them into a struct: certificates before Go 1.17, private keys in every release.
//!
//! Read in Go 1.15.15 and 1.16.14. It differs from `cryptobyte` ([`super::der`]) in this: tag numbers may have several
//! bytes; the header behind an optional field that is absent must be sound; what follows the last field of a SEQUENCE
//! is ignored; an explicit tag does not limit what is in it; and an optional field of the wrong type is absent.

use super::der::BitString;
use super::parse_error::ParseError;

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    number: u32,
    constructed: bool,
    /// Go's name of the type, for its error.
    name: &'static str,
}

impl Kind {
    pub(super) const BOOLEAN: Self = Self::primitive(1, "bool");
    pub(super) const INT: Self = Self::primitive(2, "int");
    pub(super) const BIG_INT: Self = Self::primitive(2, "");
    pub(super) const BIT_STRING: Self = Self::primitive(3, "BitString");
    pub(super) const OCTETS: Self = Self::primitive(4, "");
    pub(super) const OID: Self = Self::primitive(6, "ObjectIdentifier");
    pub(super) const TIME: Self = Self::primitive(23, "Time");
    pub(super) const LIST: Self = Self::sequence("");
    pub(super) const SET: Self = Self { number: 17, constructed: true, name: "RelativeDistinguishedNameSET" };

    const fn primitive(number: u32, name: &'static str) -> Self {
        Self { number, constructed: false, name }
    }

    /// A SEQUENCE that is read into a type of this name.
    pub(super) const fn sequence(name: &'static str) -> Self {
        Self { number: 16, constructed: true, name }
    }
}

/// An element of any type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    /// 0 to 3: universal, application, context-specific, private.
    pub(super) class: u8,
    pub(super) number: u32,
    pub(super) constructed: bool,
    /// Header and content.
    pub(super) full: &'a [u8],
    pub(super) content: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
struct Header {
    class: u8,
    number: u32,
    constructed: bool,
    length: usize,
    /// Where the content begins.
    start: usize,
}

const UNIVERSAL: u8 = 0;
const CONTEXT: u8 = 2;

impl Header {
    fn is(&self, kind: Kind) -> bool {
        (self.class, self.number, self.constructed) == (UNIVERSAL, kind.number, kind.constructed)
    }

    fn mismatch(&self, kind: Kind) -> ParseError {
        let Self { class, number, constructed, length, start } = self;
        ParseError::structure(format!(
            "tags don't match ({} vs {{class:{class} tag:{number} length:{length} isCompound:{constructed}}}) \
             {{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> \
             stringType:0 timeType:0 set:false omitEmpty:false}} {} @{start}",
            kind.number, kind.name
        ))
    }
}

/// What is left of the fields of a SEQUENCE, or of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, ParseError>;

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The fields of the next SEQUENCE.
    pub(super) fn sequence(&mut self, name: &'static str) -> Read<Self> {
        Ok(Self::of(self.read(Kind::sequence(name))?.content))
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self) -> Read<Value<'a>> {
        let header = self.header()?;
        self.value(header)
    }

    /// The next element, if there is one.
    pub(super) fn optional_any(&mut self) -> Read<Option<Value<'a>>> {
        if self.is_empty() { Ok(None) } else { self.any().map(Some) }
    }

    /// The next element, which must be of this type.
    pub(super) fn read(&mut self, kind: Kind) -> Read<Value<'a>> {
        let header = self.header()?;
        if header.is(kind) { self.value(header) } else { Err(header.mismatch(kind)) }
    }

    /// An element of this type, or nothing.
    pub(super) fn optional(&mut self, kind: Kind) -> Read<Option<Value<'a>>> {
        self.optional_if(|header| header.is(kind))
    }

    /// An element with a context-specific tag, or nothing; `None` takes either form of it.
    pub(super) fn tagged(&mut self, number: u32, constructed: Option<bool>) -> Read<Option<Value<'a>>> {
        self.optional_if(|header| {
            (header.class, header.number) == (CONTEXT, number)
                && constructed.is_none_or(|form| form == header.constructed)
        })
    }

    fn optional_if(&mut self, matches: impl FnOnce(&Header) -> bool) -> Read<Option<Value<'a>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let header = self.header()?;
        if matches(&header) { self.value(header).map(Some) } else { Ok(None) }
    }

    /// An element of this type in an explicit tag, or nothing.
    pub(super) fn explicit(&mut self, number: u32, kind: Kind) -> Read<Option<Value<'a>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let outer = self.header()?;
        if outer.start == self.bytes.len() {
            return Err(ParseError::structure("explicit tag has no child"));
        }
        let is_tag = (outer.class, outer.number) == (CONTEXT, number);
        if !is_tag || !(outer.constructed || outer.length == 0) {
            return Ok(None);
        }
        if outer.length == 0 {
            return Err(ParseError::structure("zero length explicit tag was not an asn1.Flag"));
        }
        let mut inner = Self { at: outer.start, ..*self };
        let header = inner.header()?;
        if !header.is(kind) {
            return Ok(None);
        }
        let value = inner.value(header)?;
        *self = inner;
        Ok(Some(value))
    }

    /// The elements of a SEQUENCE OF or SET OF: each has this type, or any.
    pub(super) fn list(content: &'a [u8], kind: Option<Kind>) -> Read<Self> {
        let all = Self::of(content);
        let mut fields = all;
        while !fields.is_empty() {
            let header = fields.header()?;
            if kind.is_some_and(|kind| !header.is(kind)) {
                return Err(ParseError::structure("sequence tag mismatch"));
            }
            fields.value(header).map_err(|_| ParseError::syntax("truncated sequence"))?;
        }
        Ok(all)
    }

    pub(super) fn int64(&mut self) -> Read<i64> {
        int64(self.read(Kind::INT)?.content)
    }

    /// A minimal INTEGER's bytes, two's complement.
    pub(super) fn integer(&mut self) -> Read<&'a [u8]> {
        integer(self.read(Kind::BIG_INT)?.content)
    }

    pub(super) fn bit_string(&mut self) -> Read<BitString<'a>> {
        bit_string(self.read(Kind::BIT_STRING)?.content)
    }

    pub(super) fn octets(&mut self) -> Read<&'a [u8]> {
        Ok(self.read(Kind::OCTETS)?.content)
    }

    pub(super) fn oid(&mut self) -> Read<&'a [u8]> {
        oid(self.read(Kind::OID)?.content)
    }

    fn value(&mut self, header: Header) -> Read<Value<'a>> {
        let Header { class, number, constructed, length, start } = header;
        let end = start.checked_add(length).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| ParseError::syntax("data truncated"))?;
        let (full, content) = (&self.bytes[self.at..end], &self.bytes[start..end]);
        self.at = end;
        Ok(Value { class, number, constructed, full, content })
    }

    fn header(&self) -> Read<Header> {
        if self.is_empty() {
            return Err(ParseError::syntax("sequence truncated"));
        }
        let mut at = self.at;
        let mut next = || {
            let byte = self.bytes.get(at).copied();
            at += 1;
            byte.ok_or_else(|| ParseError::syntax("truncated tag or length"))
        };
        let first = next()?;
        let (class, constructed) = (first >> 6, first & 0x20 != 0);
        let mut number = u32::from(first & 0x1f);
        if number == 0x1f {
            let rest = &self.bytes[self.at + 1..];
            let (tag, length) = base_128(rest)?;
            if tag < 0x1f {
                return Err(ParseError::syntax("non-minimal tag"));
            }
            number = tag;
            for _ in 0..length {
                next()?;
            }
        }
        let first = next()?;
        let mut length = usize::from(first & 0x7f);
        if first & 0x80 != 0 {
            let count = length;
            if count == 0 {
                return Err(ParseError::syntax("indefinite length found (not DER)"));
            }
            length = 0;
            for _ in 0..count {
                let byte = next()?;
                if length >= 1 << 23 {
                    return Err(ParseError::structure("length too large"));
                }
                length = length << 8 | usize::from(byte);
                if length == 0 {
                    return Err(ParseError::structure("superfluous leading zeros in length"));
                }
            }
            if length < 0x80 {
                return Err(ParseError::structure("non-minimal length"));
            }
        }
        Ok(Header { class, number, constructed, length, start: at })
    }
}

/// A number of seven bits a byte, which fits 31 bits, and how many bytes it takes.
fn base_128(bytes: &[u8]) -> Read<(u32, usize)> {
    let mut number = 0u64;
    for (at, &byte) in bytes.iter().enumerate() {
        if at == 5 {
            return Err(ParseError::structure("base 128 integer too large"));
        }
        if at == 0 && byte == 0x80 {
            return Err(ParseError::syntax("integer is not minimally encoded"));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            let fits = u32::try_from(number).ok().filter(|&number| number <= i32::MAX.unsigned_abs());
            let number = fits.ok_or_else(|| ParseError::structure("base 128 integer too large"))?;
            return Ok((number, at + 1));
        }
    }
    Err(ParseError::syntax("truncated base 128 integer"))
}

/// The content of an OBJECT IDENTIFIER, where it is sound.
pub(super) fn oid(content: &[u8]) -> Read<&[u8]> {
    if content.is_empty() {
        return Err(ParseError::syntax("zero length OBJECT IDENTIFIER"));
    }
    let mut rest = content;
    while !rest.is_empty() {
        rest = &rest[base_128(rest)?.1..];
    }
    Ok(content)
}

/// The content of an INTEGER, where it is minimal.
pub(super) fn integer(content: &[u8]) -> Read<&[u8]> {
    match content {
        [] => Err(ParseError::structure("empty integer")),
        [0, next, ..] if next & 0x80 == 0 => Err(ParseError::structure("integer not minimally-encoded")),
        [0xff, next, ..] if next & 0x80 != 0 => Err(ParseError::structure("integer not minimally-encoded")),
        _ => Ok(content),
    }
}

/// The content of an INTEGER that fits 64 bits.
pub(super) fn int64(content: &[u8]) -> Read<i64> {
    let content = integer(content)?;
    if content.len() > 8 {
        return Err(ParseError::structure("integer too large"));
    }
    let start = if content[0] & 0x80 != 0 { -1i64 } else { 0 };
    Ok(content.iter().fold(start, |sum, &byte| sum << 8 | i64::from(byte)))
}

/// The content of a BIT STRING.
pub(super) fn bit_string(content: &[u8]) -> Read<BitString<'_>> {
    BitString::of(content).ok_or_else(|| match content {
        [] => ParseError::syntax("zero length BIT STRING"),
        _ => ParseError::syntax("invalid padding bits in BIT STRING"),
    })
}

/// The content of a BOOLEAN.
pub(super) fn boolean(content: &[u8]) -> Read<bool> {
    match content {
        [0] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(ParseError::syntax("invalid boolean")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T: std::fmt::Debug>(read: Read<T>) -> String {
        read.unwrap_err().to_string()
    }

    #[test]
    fn headers_are_read_and_refused_in_gos_words() {
        let any = |bytes: &'static [u8]| Fields::of(bytes).any();
        assert_eq!(any(&[0x9f, 0x1f, 1, 0]).unwrap().number, 0x1f);
        assert_eq!(words(any(&[0x9f, 0x1e, 0])), "asn1: syntax error: non-minimal tag");
        assert_eq!(words(any(&[4, 0x80])), "asn1: syntax error: indefinite length found (not DER)");
        assert_eq!(words(any(&[4, 0x81, 1, 0])), "asn1: structure error: non-minimal length");
        assert_eq!(
            words(any(&[4, 0x82, 0, 1, 0])),
            "asn1: structure error: superfluous leading zeros in length"
        );
        assert_eq!(words(any(&[4, 2, 0])), "asn1: syntax error: data truncated");
        assert_eq!(words(any(&[4])), "asn1: syntax error: truncated tag or length");
        assert_eq!(words(any(&[])), "asn1: syntax error: sequence truncated");
        let mismatch = words(Fields::of(&[3, 1, 0]).octets());
        assert!(
            mismatch.contains("(4 vs {class:0 tag:3 length:1 isCompound:false}) {optional:false"),
            "{mismatch}"
        );
        assert!(mismatch.ends_with("omitEmpty:false}  @2"), "{mismatch}");
    }

    #[test]
    fn an_absent_field_needs_a_sound_header_behind_it_and_an_explicit_one_a_child() {
        let mut fields = Fields::of(&[0xa0, 3, 2, 1, 7, 4, 1, 9]);
        assert!(fields.tagged(1, None).unwrap().is_none());
        assert_eq!(fields.explicit(0, Kind::INT).unwrap().unwrap().content, [7]);
        assert_eq!(fields.octets().unwrap(), [9]);
        assert!(fields.is_empty() && fields.explicit(0, Kind::INT).unwrap().is_none());
        // Of another type: absent, and still there.
        let mut other = Fields::of(&[0xa0, 2, 5, 0]);
        assert!(other.explicit(0, Kind::INT).unwrap().is_none() && other.any().unwrap().number == 0);
        assert!(Fields::of(&[0x04, 0x80]).tagged(1, None).is_err());
        assert_eq!(
            words(Fields::of(&[5, 0]).explicit(0, Kind::INT)),
            "asn1: structure error: explicit tag has no child"
        );
    }

    #[test]
    fn lists_are_of_one_type() {
        assert!(Fields::list(&[6, 1, 0x2a, 6, 1, 0x2a], Some(Kind::OID)).is_ok());
        let mixed = Fields::list(&[6, 1, 0x2a, 5, 0], Some(Kind::OID));
        assert_eq!(words(mixed), "asn1: structure error: sequence tag mismatch");
        assert_eq!(words(Fields::list(&[6, 2, 0x2a], None)), "asn1: syntax error: truncated sequence");
        assert_eq!(
            words(oid(&[0x88, 0x80, 0x80, 0x80, 0])),
            "asn1: structure error: base 128 integer too large"
        );
        assert_eq!(words(oid(&[0x80, 1])), "asn1: syntax error: integer is not minimally encoded");
    }
}
