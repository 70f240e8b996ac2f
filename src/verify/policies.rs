//! What a certificate says of policies, their mappings and constraints (RFC 5280, 4.2.1.4, 4.2.1.5 and 4.2.1.11), as Go reads
//! it.

use std::collections::HashSet;

use super::der::{self, Der};
use super::go::GoVersion;
use super::parse_error::ParseError;

/// What a certificate says of policies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies<'a> {
    pub(super) policies: Vec<&'a [u8]>,
    pub(super) mappings: Vec<(&'a [u8], &'a [u8])>,
    pub(super) require_explicit: Option<i64>,
    pub(super) inhibit_mapping: Option<i64>,
    pub(super) inhibit_any: Option<i64>,
}

impl<'a> Policies<'a> {
    pub(super) fn read_policies(&mut self, value: &'a [u8], go: GoVersion) -> Result<(), ParseError> {
        let bad = || ParseError::new("invalid certificate policies");
        let mut list = Der(value).read(der::SEQUENCE).ok_or_else(bad)?;
        let mut seen = HashSet::new();
        while !list.is_empty() {
            let mut one = list.read(der::SEQUENCE).ok_or_else(bad)?;
            let oid = if go < GoVersion::LARGE_POLICIES {
                one.oid(go >= GoVersion::STRICT_OIDS)
            } else {
                one.read(der::OID).map(|oid| oid.0).filter(|oid| is_minimal(oid))
            };
            let oid = oid.ok_or_else(bad)?;
            if go >= GoVersion::POLICIES && !seen.insert(oid) {
                return Err(bad());
            }
            self.policies.push(oid);
        }
        Ok(())
    }

    pub(super) fn read_mappings(&mut self, value: &'a [u8]) -> Result<(), ParseError> {
        let bad = || ParseError::new("invalid policy mappings extension");
        let mut list = Der(value).read(der::SEQUENCE).ok_or_else(bad)?;
        while !list.is_empty() {
            let mut one = list.read(der::SEQUENCE).ok_or_else(bad)?;
            let issuer = one.read(der::OID).ok_or_else(bad)?.0;
            let subject = one.read(der::OID).ok_or_else(bad)?.0;
            self.mappings.push((issuer, subject));
        }
        Ok(())
    }

    pub(super) fn read_constraints(&mut self, value: &'a [u8]) -> Result<(), ParseError> {
        let bad = || ParseError::new("invalid policy constraints extension");
        let mut fields = Der(value).read(der::SEQUENCE).ok_or_else(bad)?;
        if fields.peek(der::context(0)) {
            self.require_explicit = Some(fields.int64_with(der::context(0)).ok_or_else(bad)?);
        }
        if fields.peek(der::context(1)) {
            self.inhibit_mapping = Some(fields.int64_with(der::context(1)).ok_or_else(bad)?);
        }
        Ok(())
    }

    pub(super) fn read_inhibit_any(&mut self, value: &'a [u8]) -> Result<(), ParseError> {
        let number = Der(value).int64();
        self.inhibit_any =
            Some(number.ok_or_else(|| ParseError::new("invalid inhibit any policy extension"))?);
        Ok(())
    }
}

fn is_minimal(oid: &[u8]) -> bool {
    let mut start = true;
    oid.iter().all(|&byte| {
        let sound = !(start && byte == 0x80);
        start = byte & 0x80 == 0;
        sound
    }) && oid.last().is_some_and(|last| last & 0x80 == 0)
}
