//! DER taken apart, changed in one place, and put together again with sound lengths around it: what is damaged is one
//! element, not everything that holds it.

use super::der;
use super::dice::Dice;

struct Node {
    tag: u8,
    body: Body,
}

enum Body {
    Bytes(Vec<u8>),
    Nodes(Vec<Node>),
    /// As it is, header and all.
    Raw(Vec<u8>),
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        let (tag, first) = (*bytes.first()?, usize::from(*bytes.get(1)?));
        let (header, length) = match first {
            0..=0x7f => (2, first),
            0x81 => (3, usize::from(*bytes.get(2)?)),
            0x82 => (4, usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?)),
            _ => return None,
        };
        let content = bytes.get(header..header + length)?;
        bytes = &bytes[header + length..];
        // Extensions' values are DER in an OCTET STRING, keys in a BIT STRING.
        let inner = if tag & 0x20 != 0 || (tag == 4 && content.len() > 1) { parse(content) } else { None };
        let body = inner.map_or_else(|| Body::Bytes(content.to_vec()), Body::Nodes);
        nodes.push(Node { tag, body });
    }
    Some(nodes)
}

fn count(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| 1 + if let Body::Nodes(inner) = &node.body { count(inner) } else { 0 }).sum()
}

fn write(nodes: &[Node]) -> Vec<u8> {
    let each = nodes.iter().map(|node| match &node.body {
        Body::Bytes(bytes) => der::tlv(node.tag, bytes),
        Body::Nodes(inner) => der::tlv(node.tag, &write(inner)),
        Body::Raw(bytes) => bytes.clone(),
    });
    each.collect::<Vec<_>>().concat()
}

/// Calls `change` with the list that holds node number `at`, counted from the root, and where it is in there.
fn reach(nodes: &mut Vec<Node>, at: &mut usize, change: &mut dyn FnMut(&mut Vec<Node>, usize)) -> bool {
    for index in 0..nodes.len() {
        if *at == 0 {
            change(nodes, index);
            return true;
        }
        *at -= 1;
        if let Body::Nodes(inner) = &mut nodes[index].body
            && reach(inner, at, change)
        {
            return true;
        }
    }
    false
}

/// Tags that are likely to be mistaken for each other.
const TAGS: &[u8] = &[
    1, 2, 3, 4, 5, 6, 0x0a, 0x0c, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1a, 0x1c, 0x1e, 0x1f, 0x30, 0x31,
    0x80, 0x81, 0x82, 0x86, 0x87, 0xa0, 0xa1, 0xa3, 0xa4,
];

/// Changes one element of `der` somewhere.
pub(crate) fn change_one(dice: &mut Dice, der: &[u8]) -> Vec<u8> {
    let Some(mut nodes) = parse(der) else { return der.to_vec() };
    let mut at = dice.below(count(&nodes));
    reach(&mut nodes, &mut at, &mut |list, index| change(dice, list, index));
    write(&nodes)
}

fn change(dice: &mut Dice, list: &mut Vec<Node>, index: usize) {
    let whole = write(&list[index..=index]);
    let (tag, content) = (list[index].tag, content(&list[index]));
    let header = whole.len() - content.len();
    match dice.below(13) {
        0 => list[index].tag = dice.pick(TAGS),
        1 => list[index].body = Body::Raw(lax_length(dice, tag, &content)),
        2 => {
            list.remove(index);
        }
        3 => {
            let twin = Node { tag, body: Body::Raw(whole) };
            list.insert(index, twin);
        }
        4 => {
            let more = dice.pick(&[&b"\x05\x00"[..], b"\x00", b"\x02\x01\x00", b"\x30\x00"]);
            list[index].body = Body::Bytes([&content, more].concat());
        }
        5 => {
            let more = dice.pick(&[&b"\x05\x00"[..], b"\x00", b"\x02\x01\x00", b"\x0c\x01a"]);
            list[index].body = Body::Raw([&whole, more].concat());
        }
        6 => list[index].body = Body::Bytes(Vec::new()),
        7 if !content.is_empty() => {
            list[index].body = Body::Bytes(content[..content.len() - 1].to_vec());
        }
        8 if list.len() > 1 => {
            let other = dice.below(list.len());
            list.swap(index, other);
        }
        9 => list[index].body = Body::Raw([&whole[..header], &[0][..], &whole[header..]].concat()),
        10 if tag == 2 || tag == 3 => {
            let before = dice.pick(&[0u8, 0xff, 0x80, 7, 8]);
            list[index].body = Body::Bytes([&[before][..], &content].concat());
        }
        11 if tag == 1 => {
            list[index].body = Body::Bytes(dice.pick(&[vec![1], vec![0], vec![0xff, 0], vec![0x80]]))
        }
        _ if !content.is_empty() => {
            let mut bytes = content;
            let place = dice.below(bytes.len());
            bytes[place] = if dice.one_in(2) { dice.next() as u8 } else { bytes[place] ^ 1 << dice.below(8) };
            list[index].body = Body::Bytes(bytes);
        }
        _ => list[index].body = Body::Bytes(dice.bytes(2)),
    }
}

fn content(node: &Node) -> Vec<u8> {
    match &node.body {
        Body::Bytes(bytes) | Body::Raw(bytes) => bytes.clone(),
        Body::Nodes(inner) => write(inner),
    }
}

/// BER's other ways to write a length.
fn lax_length(dice: &mut Dice, tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match dice.below(5) {
        0 => vec![tag, 0x80],
        1 if length < 128 => vec![tag, 0x81, length as u8],
        2 => vec![tag, 0x84, 0, 0, (length >> 8) as u8, length as u8],
        3 => vec![tag, 0x85, 0, 0, 0, (length >> 8) as u8, length as u8],
        _ => vec![tag, 0x83, 0, (length >> 8) as u8, length as u8],
    };
    let end: &[u8] = if header[1] == 0x80 { &[0, 0] } else { &[] };
    [&header, content, end].concat()
}
