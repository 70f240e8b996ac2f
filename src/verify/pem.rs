//! PEM as Go's `encoding/pem` reads it: broken blocks are skipped, not errors, and text around blocks is ignored.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Go's `base64.StdEncoding`: padding is required, trailing bits are not looked at.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// One block.
pub(crate) struct Block {
    /// What stands after BEGIN, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// Whether there are headers, such as `Proc-Type: 4,ENCRYPTED`.
    pub(crate) headers: Vec<(String, String)>,
    /// The content, which may be a key.
    pub(crate) der: Zeroizing<Vec<u8>>,
}

impl Block {
    /// Whether it holds a certificate.
    pub(crate) fn is_certificate(&self) -> bool {
        self.label == "CERTIFICATE"
    }

    /// Whether it holds a private key, as `tls.X509KeyPair` tells.
    pub(crate) fn is_private_key(&self) -> bool {
        self.label == "PRIVATE KEY" || self.label.ends_with(" PRIVATE KEY")
    }

    /// Whether its content is encrypted: PKCS#8's own kind, or OpenSSL's old one.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.label == "ENCRYPTED PRIVATE KEY"
            || self.headers.iter().any(|(key, value)| key == "Proc-Type" && value.contains("ENCRYPTED"))
    }
}

/// All the blocks of a file, in order.
pub(crate) fn blocks(data: &[u8]) -> Vec<Block> {
    let mut found = Vec::new();
    let mut rest = data;
    while let Some((block, after)) = next(rest) {
        found.push(block);
        rest = after;
    }
    found
}

fn next(data: &[u8]) -> Option<(Block, &[u8])> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let mut rest = data;
    loop {
        rest = if rest.starts_with(BEGIN) {
            &rest[BEGIN.len()..]
        } else {
            let at = find(rest, b"\n-----BEGIN ")?;
            &rest[at + 1 + BEGIN.len()..]
        };
        let (label, after) = line(rest);
        rest = after;
        let Some(label) = label.strip_suffix(b"-----") else { continue };
        let mut headers = Vec::new();
        loop {
            if rest.is_empty() {
                return None;
            }
            let (text, after) = line(rest);
            let Some(colon) = text.iter().position(|&byte| byte == b':') else { break };
            headers.push((trimmed(&text[..colon]), trimmed(&text[colon + 1..])));
            rest = after;
        }
        let (body, trailer) = if headers.is_empty() && rest.starts_with(b"-----END ") {
            (&rest[..0], &rest[9..])
        } else if let Some(at) = find(rest, b"\n-----END ") {
            (&rest[..at], &rest[at + 10..])
        } else {
            continue;
        };
        let Some(ending) = trailer.strip_prefix(label).and_then(|ending| ending.strip_prefix(b"-----"))
        else {
            continue;
        };
        let (left, after) = line(ending);
        if !left.is_empty() {
            continue;
        }
        let text: Zeroizing<Vec<u8>> =
            Zeroizing::new(body.iter().copied().filter(|byte| !b" \t\r\n".contains(byte)).collect());
        let Ok(der) = STANDARD.decode(text.as_slice()) else { continue };
        let label = String::from_utf8_lossy(label).into_owned();
        return Some((Block { label, headers, der: Zeroizing::new(der) }, after));
    }
}

/// The first line without its end and trailing blanks, and what follows.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let (text, rest) = match data.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[data.len()..]),
    };
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let end = text.iter().rposition(|byte| !b" \t".contains(byte)).map_or(0, |at| at + 1);
    (&text[..end], rest)
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}

fn trimmed(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_blocks_and_broken_blocks_are_skipped() {
        let text = b"hello\n-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n\
            -----BEGIN A-----\r\nAAEC\r\n-----END A-----\r\n\
            -----BEGIN B-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END B-----\nbye";
        let found = blocks(text);
        assert_eq!(found.iter().map(|block| block.label.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(found[0].der.as_slice(), [0, 1, 2]);
        assert!(found[1].is_encrypted() && !found[0].is_encrypted());
    }

    #[test]
    fn a_block_without_its_end_is_none() {
        assert!(blocks(b"-----BEGIN CERTIFICATE-----\nAAEC\n").is_empty());
        assert!(blocks(b"-----BEGIN CERTIFICATE-----\nAAEC\n-----END KEY-----\n").is_empty());
        assert!(blocks(b"").is_empty());
    }
}
