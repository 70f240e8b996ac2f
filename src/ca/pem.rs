//! PEM blocks, those included that `rustls_pki_types::pem` skips (encrypted keys, parameters), and writing them.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

/// RFC 1421 headers: name and value.
pub type Headers = Vec<(String, String)>;

/// One block.
pub struct Block {
    /// What stands after BEGIN, such as `CERTIFICATE`.
    pub label: String,
    /// RFC 1421 headers (`Proc-Type`, `DEK-Info`) of a key in OpenSSL's old encrypted form.
    pub headers: Headers,
    /// The content; it may be a key.
    pub der: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({}, {} bytes)", self.label, self.der.len())
    }
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The blocks of a file in order; what stands between them, and blocks that are broken, are skipped as Go does.
pub fn blocks(bytes: &[u8]) -> Vec<Block> {
    let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    let mut found = Vec::new();
    let mut open: Option<(&str, Headers, Vec<&str>)> = None;
    for line in text.lines().map(str::trim_end) {
        if let Some(label) = marker(line, "-----BEGIN ") {
            open = Some((label, Vec::new(), Vec::new()));
        } else if let Some(label) = marker(line, "-----END ") {
            let Some((_, headers, lines)) = open.take().filter(|(begun, ..)| *begun == label) else {
                continue;
            };
            // Whole from the start, so that no half of a key is left behind by a reallocation.
            let size = lines.iter().map(|line| line.len()).sum();
            let mut body = Zeroizing::new(String::with_capacity(size));
            lines.iter().for_each(|line| body.push_str(line));
            if let Ok(der) = LENIENT.decode(body.as_bytes()) {
                found.push(Block { label: label.to_owned(), headers, der: Zeroizing::new(der) });
            }
        } else if let Some((_, headers, lines)) = &mut open {
            match line.split_once(':') {
                Some((name, value)) if lines.is_empty() => {
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                _ if line.is_empty() => {}
                _ => lines.push(line.trim()),
            }
        }
    }
    found
}

fn marker<'a>(line: &'a str, begin: &str) -> Option<&'a str> {
    line.strip_prefix(begin)?.strip_suffix("-----")
}

/// A block as text, 64 characters a line.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 64));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_noise_is_skipped() {
        let one = encode("CERTIFICATE", &[1; 100]);
        let two = encode("ENCRYPTED PRIVATE KEY", &[2; 48]);
        let file =
            format!("noise\n{}-----BEGIN X-----\n!!\n-----END X-----\n{}", *one, two.replace('\n', "\r\n"));
        let found = blocks(file.as_bytes());
        assert_eq!(
            found.iter().map(|b| b.label.as_str()).collect::<Vec<_>>(),
            ["CERTIFICATE", "ENCRYPTED PRIVATE KEY"]
        );
        assert_eq!((found[0].der.as_slice(), found[1].der.as_slice()), (&[1; 100][..], &[2; 48][..]));
        assert!(one.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn many_beginnings_cost_no_more_than_their_length() {
        let begin = Instant::now();
        let file = "-----BEGIN PRIVATE KEY-----\n".repeat(200_000);
        assert!(blocks(file.as_bytes()).is_empty());
        // Where each took as much memory as the whole file it was minutes.
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn headers_of_the_old_encrypted_form_are_kept() {
        let file = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let found = blocks(file);
        assert_eq!(found[0].headers[0], ("Proc-Type".into(), "4,ENCRYPTED".into()));
        assert_eq!(found[0].der.as_slice(), [0, 0, 0]);
    }
}
