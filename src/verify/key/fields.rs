//! The fields of a key's SEQUENCE, without what Go says of those that are wrong: of a key it never says more than that it
//! cannot read it.

use super::super::asn1::{self, Kind};

/// What is left of a SEQUENCE's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(asn1::Fields<'a>);

impl<'a> Fields<'a> {
    /// The fields that `bytes` hold.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(asn1::Fields::of(bytes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn int64(&mut self) -> Option<i64> {
        self.0.int64().ok()
    }

    /// A minimal INTEGER's bytes, two's complement.
    pub(super) fn integer(&mut self) -> Option<&'a [u8]> {
        self.0.integer().ok()
    }

    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        self.0.octets().ok()
    }

    pub(super) fn oid(&mut self) -> Option<&'a [u8]> {
        self.0.oid().ok()
    }

    pub(super) fn nested(&mut self) -> Option<Self> {
        self.0.sequence("").ok().map(Self)
    }

    /// Any element, header and all; nothing where nothing is left.
    pub(super) fn rest_element(&mut self) -> Option<&'a [u8]> {
        self.0.optional_any().ok().map(|value| value.map_or(&[][..], |value| value.full))
    }

    /// An INTEGER that may be absent.
    pub(super) fn optional_integer(&mut self) -> Option<Option<&'a [u8]>> {
        let value = self.0.optional(Kind::BIG_INT).ok()?;
        value.map(|value| asn1::integer(value.content)).transpose().ok()
    }

    /// A SEQUENCE that may be absent.
    pub(super) fn optional_nested(&mut self) -> Option<Option<Self>> {
        Some(self.0.optional(Kind::LIST).ok()?.map(|value| Self::of(value.content)))
    }

    /// An OBJECT IDENTIFIER in a tag of its own, which may be absent.
    pub(super) fn explicit_oid(&mut self, number: u32) -> Option<Option<&'a [u8]>> {
        let value = self.0.explicit(number, Kind::OID).ok()?;
        value.map(|value| asn1::oid(value.content)).transpose().ok()
    }

    /// A BIT STRING in a tag of its own, which may be absent.
    pub(super) fn explicit_bit_string(&mut self, number: u32) -> Option<()> {
        let value = self.0.explicit(number, Kind::BIT_STRING).ok()?;
        value.map(|value| asn1::bit_string(value.content)).transpose().ok().map(|_| ())
    }
}
