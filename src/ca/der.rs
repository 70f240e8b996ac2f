//! The little DER that is written by hand: putting an issuer's own bytes into a certificate or CRL, and PKCS#12.
//!
//! rcgen re-encodes an issuer's name from its parsed parts, and loses repeated and multi-valued attributes on the
//! way. RFC 5280 4.1.2.4 wants the issuer to be the CA's subject, and Go and OpenSSL compare the bytes. So what rcgen
//! built unsigned gets the CA's own bytes, and is signed then.

use super::CaError;

const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// A structure that is to be signed, as rcgen built it: SEQUENCE { to-be-signed, algorithm, signature }.
#[derive(Debug)]
pub(super) struct Unsigned<'a> {
    body: &'a [u8],
    algorithm: &'a [u8],
}

impl<'a> Unsigned<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Result<Self, CaError> {
        let (outer, _) = split(der)?;
        let (body, rest) = split(outer.content)?;
        let (algorithm, _) = split(rest)?;
        Ok(Self { body: body.content, algorithm: algorithm.whole })
    }

    /// The same with `issuer` (a whole DER Name) for the issuer, signed by `sign`.
    pub(super) fn sign(
        &self,
        issuer: &[u8],
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, CaError>,
    ) -> Result<Vec<u8>, CaError> {
        // TBSCertificate: [0] version, INTEGER serial, algorithm, issuer. TBSCertList: INTEGER version, algorithm,
        // issuer. Both: whatever is a version or an integer, then the algorithm, then the issuer.
        let mut rest = self.body;
        while rest.first().is_some_and(|&tag| tag == VERSION || tag == INTEGER) {
            rest = split(rest)?.1;
        }
        let (_algorithm, rest) = split(rest)?;
        let head = &self.body[..self.body.len() - rest.len()];
        let (_placeholder, tail) = split(rest)?;
        let tbs = sequence(&[head, issuer, tail]);
        let mut signature = vec![0];
        signature.extend(sign(&tbs)?);
        let signature = tagged(0x03, &[&signature]);
        Ok(sequence(&[&tbs, self.algorithm, &signature]))
    }
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

fn split(input: &[u8]) -> Result<(Element<'_>, &[u8]), CaError> {
    let broken = || CaError::Crypto { action: "encode a certificate", what: "not DER".into() };
    let first = *input.get(1).ok_or_else(broken)?;
    let (header, length) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        let bytes = input.get(2..2 + count).filter(|_| (1..=4).contains(&count)).ok_or_else(broken)?;
        (2 + count, bytes.iter().fold(0, |sum, &byte| (sum << 8) | usize::from(byte)))
    };
    let whole = input.get(..header + length).ok_or_else(broken)?;
    Ok((Element { whole, content: &whole[header..] }, &input[header + length..]))
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, parts)
}

pub(super) fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form_come_back() {
        for length in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let der = sequence(&[&content]);
            let (element, rest) = split(&der).unwrap();
            assert_eq!((element.content.len(), rest.len(), element.whole.len()), (length, 0, der.len()));
        }
        assert!(split(&[0x30, 0x05, 1]).is_err());
        assert!(split(&[0x30]).is_err());
        assert!(split(&[0x30, 0x80, 0, 0]).is_err());
    }
}
