//! PEM as Go's `encoding/pem` reads it: broken blocks are skipped, not errors, and text around blocks is ignored.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::go::{GoVersion, Since};

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

/// All the blocks of a file, in order, as Go `go` finds them.
///
/// The time is linear in the size: no END line is looked for twice, and a body is left at its first character that
/// is not base64.
pub(crate) fn blocks(data: &[u8], go: GoVersion) -> Vec<Block> {
    let mut scanner = Scanner { data, at: 0, next_end: 0 };
    let last_begin = go.has(&Since::LAST_BEGIN);
    std::iter::from_fn(|| {
        if last_begin { scanner.block_of_last_begin() } else { scanner.block_of_first_begin() }
    })
    .collect()
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
    /// Before October 2025: every BEGIN line is tried with the next END line.
    fn block_of_first_begin(&mut self) -> Option<Block> {
        loop {
            self.at = self.line_start(BEGIN, self.at)? + BEGIN.len();
            let label = self.line();
            let Some(label) = label.strip_suffix(b"-----") else { continue };
            let headers = self.headers()?;
            // With headers, the END line cannot follow at once.
            let from = if headers.is_empty() { self.at } else { self.at + 1 };
            if self.next_end < from {
                self.next_end = self.line_start(END, from)?;
            }
            let (body, end) = (&self.data[self.at..self.next_end], self.next_end + END.len());
            let Some((block, next)) = self.finished(label, headers, body, end) else { continue };
            self.at = next;
            return Some(block);
        }
    }

    /// From then on: every END line is tried with the last BEGIN before it, and what was tried is left behind.
    fn block_of_last_begin(&mut self) -> Option<Block> {
        loop {
            let start = self.at;
            // An END line, the newline before it included.
            let end = start + find(self.data.get(start..)?, b"\n-----END ")?;
            let trailer = end + 1 + END.len();
            self.at = trailer;
            let Some(begin) = rfind(&self.data[start..end], BEGIN) else { continue };
            // The rest begins a line, whatever stands before it.
            if begin > 0 && self.data[start + begin - 1] != b'\n' {
                continue;
            }
            self.at = start + begin + BEGIN.len();
            let label = self.line();
            let Some(label) = label.strip_suffix(b"-----") else {
                self.at = trailer.max(self.at);
                continue;
            };
            let headers = self.headers()?;
            let from = self.at;
            self.at = trailer.max(from);
            if from > end && !headers.is_empty() || from > trailer {
                continue;
            }
            let body = self.data.get(from..end).unwrap_or_default();
            let Some((block, next)) = self.finished(label, headers, body, trailer) else { continue };
            self.at = next;
            return Some(block);
        }
    }

    /// The lines with a colon from here on; `None` at the end of the file.
    fn headers(&mut self) -> Option<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            if self.at >= self.data.len() {
                return None;
            }
            let start = self.at;
            let text = self.line();
            let Some(colon) = text.iter().position(|&byte| byte == b':') else {
                self.at = start;
                return Some(headers);
            };
            headers.push((trimmed(&text[..colon]), trimmed(&text[colon + 1..])));
        }
    }

    /// The block, where the END line that goes on at `end` is its own and the body is base64; and where the next line begins.
    fn finished(
        &self,
        label: &[u8],
        headers: Vec<(String, String)>,
        body: &[u8],
        end: usize,
    ) -> Option<(Block, usize)> {
        let mut trailer = Self { data: self.data, at: end, next_end: 0 };
        if trailer.line().strip_prefix(label) != Some(b"-----") {
            return None;
        }
        let der = Zeroizing::new(decoded(body)?);
        Some((Block { label: String::from_utf8_lossy(label).into_owned(), headers, der }, trailer.at))
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

/// Where `what` first stands in `text`.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|&byte| byte == what[0])?;
        if text[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
}

/// Where `what` last stands in `text`.
fn rfind(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
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

    const OLD: GoVersion = GoVersion::new(19, 8);

    fn labels(text: &[u8], go: GoVersion) -> Vec<String> {
        blocks(text, go).into_iter().map(|block| block.label).collect()
    }

    #[test]
    fn text_around_blocks_and_broken_blocks_are_skipped() {
        let text = b"hello\n-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n\
            -----BEGIN A-----\r\nAAEC\r\n-----END A-----\r\n\
            -----BEGIN B-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END B-----\nbye";
        for go in [OLD, GoVersion::NEWEST] {
            let found = blocks(text, go);
            assert_eq!(labels(text, go), ["A", "B"]);
            assert_eq!(found[0].der.as_slice(), [0, 1, 2]);
            assert!(found[1].is_encrypted() && !found[0].is_encrypted());
        }
    }

    #[test]
    fn many_beginnings_without_an_end_cost_no_more_than_their_bytes() {
        let mut text = b"-----BEGIN CERTIFICATE-----\nAAEC\n".repeat(200_000);
        assert!(labels(&text, OLD).is_empty() && labels(&text, GoVersion::NEWEST).is_empty());
        text.extend(b"-----END KEY-----\n");
        assert!(labels(&text, OLD).is_empty() && labels(&text, GoVersion::NEWEST).is_empty());
        text.extend(b"-----END CERTIFICATE-----\n-----BEGIN A-----\nAAEC\n-----END A-----");
        assert_eq!(
            (labels(&text, OLD), labels(&text, GoVersion::NEWEST)),
            (vec!["A".into()], vec!["A".into()])
        );
    }

    #[test]
    fn a_block_without_its_end_is_none() {
        for go in [OLD, GoVersion::NEWEST] {
            for text in ["-----BEGIN A-----\nAAEC\n", "-----BEGIN A-----\nAAEC\n-----END KEY-----\n", ""] {
                assert!(labels(text.as_bytes(), go).is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn a_beginning_within_a_line_hides_the_block_from_newer_releases() {
        let text = b"-----BEGIN A-----\nAAEC\n x-----BEGIN A-----\n-----END A-----\n";
        assert!(labels(text, GoVersion::NEWEST).is_empty());
        let text = b"-----BEGIN A-----\n-----BEGIN B-----\nAAEC\n-----END B-----\n";
        assert_eq!(
            (labels(text, OLD), labels(text, GoVersion::NEWEST)),
            (vec!["B".into()], vec!["B".into()])
        );
    }
}
