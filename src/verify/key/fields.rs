//! The fields of a key's SEQUENCE as Go's `encoding/asn1` reads them into a struct. It is stricter than `cryptobyte`, which
//! reads certificates, in one thing: the header behind an optional field that is absent must be sound. And laxer in
//! another: what follows the last field is not looked at.

use super::super::der::{self, Der};

/// What is left of a SEQUENCE's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of the SEQUENCE that `bytes` begin with, and what follows it.
    pub(super) fn of(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut rest = Self(bytes);
        let inner = rest.nested()?;
        Some((inner, rest.0))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Der<'a>) -> Option<T>) -> Option<T> {
        let mut der = Der(self.0);
        let read = read(&mut der)?;
        self.0 = der.0;
        Some(read)
    }

    pub(super) fn int64(&mut self) -> Option<i64> {
        self.read(Der::int64)
    }

    /// A minimal INTEGER's bytes, two's complement.
    pub(super) fn integer(&mut self) -> Option<&'a [u8]> {
        self.read(Der::integer)
    }

    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        self.read(|der| Some(der.read(der::OCTET_STRING)?.0))
    }

    pub(super) fn bit_string(&mut self) -> Option<()> {
        self.read(|der| der.bit_string().map(|_| ()))
    }

    pub(super) fn oid(&mut self) -> Option<&'a [u8]> {
        self.read(|der| der.oid(true))
    }

    pub(super) fn nested(&mut self) -> Option<Self> {
        self.read(|der| Some(Self(der.read(der::SEQUENCE)?.0)))
    }

    /// Any element, header and all; nothing where nothing is left.
    pub(super) fn rest_element(&mut self) -> Option<&'a [u8]> {
        if self.is_empty() { Some(&[]) } else { self.read(|der| Some(der.any()?.full)) }
    }

    /// A field that may be absent: then another one, with a sound header, or nothing is there.
    pub(super) fn optional<T>(
        &mut self,
        tag: u8,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.0.first() == Some(&tag) {
            return read(self).map(Some);
        }
        (self.is_empty() || header(self.0).is_some()).then_some(None)
    }

    /// A field in a tag of its own, which may be absent. What else the tag holds is taken for the next field.
    pub(super) fn explicit<T>(
        &mut self,
        number: u8,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.0.first() != Some(&der::explicit(number)) {
            return (self.is_empty() || header(self.0).is_some()).then_some(None);
        }
        let inner = &self.0[header(self.0)?..];
        if self.0[1] == 0 {
            return None;
        }
        self.0 = inner;
        read(self).map(Some)
    }
}

/// How long a sound header is; whether what it promises is there is not asked.
fn header(bytes: &[u8]) -> Option<usize> {
    let (&tag, &first) = (bytes.first()?, bytes.get(1)?);
    // Tag numbers of several bytes stand in no key; Go reads them, so does this, as far as it matters.
    if tag & 0x1f == 0x1f {
        return (first & 0x80 == 0 && first >= 0x1f).then_some(2);
    }
    if first & 0x80 == 0 {
        return Some(2);
    }
    let length =
        bytes.get(2..2 + usize::from(first & 0x7f)).filter(|length| (1..=4).contains(&length.len()))?;
    (length[0] != 0 && (length.len() > 1 || length[0] >= 0x80)).then_some(2 + length.len())
}
