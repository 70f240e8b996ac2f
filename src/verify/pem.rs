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
///
/// The time is linear in the size: no END line is looked for twice, and a body is left at its first character that
/// is not base64.
pub(crate) fn blocks(data: &[u8]) -> Vec<Block> {
    let mut scanner = Scanner { data, at: 0, next_end: 0 };
    std::iter::from_fn(|| scanner.block()).collect()
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

struct Scanner<'a> {
    data: &'a [u8],
    at: usize,
    /// Where the last END line that was looked for begins; there is none between it and where it was looked for.
    next_end: usize,
}

impl<'a> Scanner<'a> {
    fn block(&mut self) -> Option<Block> {
        loop {
            self.at = self.line_start(BEGIN, self.at)? + BEGIN.len();
            let label = self.line();
            let Some(label) = label.strip_suffix(b"-----") else { continue };
            let mut headers = Vec::new();
            loop {
                if self.at >= self.data.len() {
                    return None;
                }
                let start = self.at;
                let text = self.line();
                let Some(colon) = text.iter().position(|&byte| byte == b':') else {
                    self.at = start;
                    break;
                };
                headers.push((trimmed(&text[..colon]), trimmed(&text[colon + 1..])));
            }
            // With headers, the END line cannot follow at once.
            let from = if headers.is_empty() { self.at } else { self.at + 1 };
            if self.next_end < from {
                self.next_end = self.line_start(END, from)?;
            }
            let body = &self.data[self.at..self.next_end];
            let mut trailer = Self { data: self.data, at: self.next_end + END.len(), next_end: 0 };
            let ending = trailer.line();
            if ending.strip_prefix(label) != Some(b"-----") {
                continue;
            }
            let Some(der) = decoded(body) else { continue };
            self.at = trailer.at;
            let label = String::from_utf8_lossy(label).into_owned();
            return Some(Block { label, headers, der: Zeroizing::new(der) });
        }
    }

    /// Where a line that begins with `what` begins, at `from` or behind it.
    fn line_start(&self, what: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let rest = self.data.get(at..)?;
            let fresh = at == 0 || self.data[at - 1] == b'\n';
            if fresh && rest.starts_with(what) {
                return Some(at);
            }
            at += rest.iter().position(|&byte| byte == b'\n')? + 1;
        }
    }

    /// The line from here on without its end and trailing blanks; goes on to the next.
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.data[self.at.min(self.data.len())..];
        let (text, step) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&rest[..end], end + 1),
            None => (rest, rest.len()),
        };
        self.at += step;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let end = text.iter().rposition(|byte| !b" \t".contains(byte)).map_or(0, |at| at + 1);
        &text[..end]
    }
}

/// A body, where it is base64 with blanks and line ends anywhere in it. One that is not is left at its first wrong
/// character: many beginnings may share an end.
fn decoded(body: &[u8]) -> Option<Vec<u8>> {
    if !body.iter().all(|&byte| BASE64[usize::from(byte)]) {
        return None;
    }
    // All at once: a buffer that grows leaves copies of a key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
    for line in body.split(|&byte| byte == b'\n') {
        if line.iter().any(|byte| b" \t\r".contains(byte)) {
            text.extend(line.iter().filter(|byte| !b" \t\r".contains(byte)));
        } else {
            text.extend_from_slice(line);
        }
    }
    STANDARD.decode(text.as_slice()).ok()
}

/// Which bytes may stand in a body.
static BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let of = byte as u8;
        table[byte] =
            of.is_ascii_alphanumeric() || matches!(of, b'+' | b'/' | b'=' | b' ' | b'\t' | b'\r' | b'\n');
        byte += 1;
    }
    table
};

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
    fn many_beginnings_without_an_end_cost_no_more_than_their_bytes() {
        let mut text = b"-----BEGIN CERTIFICATE-----\nAAEC\n".repeat(200_000);
        assert!(blocks(&text).is_empty());
        text.extend(b"-----END KEY-----\n");
        assert!(blocks(&text).is_empty());
        text.extend(b"-----END CERTIFICATE-----\n-----BEGIN A-----\nAAEC\n-----END A-----");
        assert_eq!(blocks(&text).len(), 1);
    }

    #[test]
    fn a_block_without_its_end_is_none() {
        assert!(blocks(b"-----BEGIN CERTIFICATE-----\nAAEC\n").is_empty());
        assert!(blocks(b"-----BEGIN CERTIFICATE-----\nAAEC\n-----END KEY-----\n").is_empty());
        assert!(blocks(b"").is_empty());
    }
}
