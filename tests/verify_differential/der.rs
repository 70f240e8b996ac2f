//! A small DER writer, which writes what no library would: every certificate here is put together from its bytes.

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(length(content.len()));
    out.extend(content);
    out
}

/// A minimal length.
pub(crate) fn length(of: usize) -> Vec<u8> {
    if of < 128 {
        return vec![of as u8];
    }
    let bytes = of.to_be_bytes();
    let skip = bytes.iter().take_while(|&&byte| byte == 0).count();
    let mut out = vec![0x80 | (bytes.len() - skip) as u8];
    out.extend(&bytes[skip..]);
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

/// A positive INTEGER of a big-endian number.
pub(crate) fn unsigned(number: &[u8]) -> Vec<u8> {
    let skip = number.iter().take_while(|&&byte| byte == 0).count();
    let mut content = number[skip..].to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    tlv(2, &content)
}

pub(crate) fn small(number: u64) -> Vec<u8> {
    unsigned(&number.to_be_bytes())
}

pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, content)
}

/// A BIT STRING of whole bytes.
pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

pub(crate) const NULL: &[u8] = &[5, 0];

/// An OBJECT IDENTIFIER of dotted numbers.
pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    tlv(6, &content)
}
