//! A line of YAML: a plain key and a scalar or flow list, read and written.

/// The key and what follows it, where it is `key: value`.
pub(super) fn split_key(content: &str) -> Option<(&str, &str)> {
    let (key, rest) = content.split_once(':')?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let key = key.trim_end();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    plain.then_some((key, rest.trim_start()))
}

/// A scalar or a flow list, without the comment behind it; empty for none, null and `~`.
pub(super) fn value_of(text: &str) -> Result<String, &'static str> {
    if let Some(rest) = text.strip_prefix('"') {
        let end = closing_quote(rest).ok_or("a double quote is not closed on its line")?;
        only_comment(&rest[end + 1..])?;
        return serde_json::from_str(&text[..end + 2]).map_err(|_| "an escape that is not understood");
    }
    if let Some(rest) = text.strip_prefix('\'') {
        let mut value = String::new();
        let mut parts = rest.split("''").peekable();
        while let Some(part) = parts.next() {
            if let Some((last, after)) = part.split_once('\'') {
                value.push_str(last);
                only_comment(after)?;
                return if parts.next().is_none() { Ok(value) } else { Err("a quote too many") };
            }
            value.push_str(part);
            if parts.peek().is_some() {
                value.push('\'');
            }
        }
        return Err("a single quote is not closed on its line");
    }
    let bare = match text.find(" #") {
        Some(at) => text[..at].trim_end(),
        None if text.starts_with('#') => "",
        None => text,
    };
    if let Some(inner) = bare.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("a list is not closed on its line")?;
        let items = inner.split(',').map(|item| value_of(item.trim()));
        return Ok(items.collect::<Result<Vec<_>, _>>()?.join(","));
    }
    match bare {
        "" | "null" | "~" => Ok(String::new()),
        "{}" => Ok("{}".to_owned()),
        _ if bare.starts_with(['&', '*', '!', '|', '>', '%', '@', '`', '{', '}', ']', ',', '?']) => {
            Err("YAML that etcd's settings do not need")
        }
        _ if bare.contains(": ") || bare.ends_with(':') => Err("a mapping within a value"),
        _ => Ok(bare.to_owned()),
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn only_comment(text: &str) -> Result<(), &'static str> {
    let text = text.trim_start();
    if text.is_empty() || text.starts_with('#') { Ok(()) } else { Err("something follows the closing quote") }
}

/// A value as it is written: bare where that cannot be misread, else quoted.
pub(super) fn scalar(value: &str) -> String {
    let bare = matches!(value, "true" | "false")
        || (!value.is_empty() && value.len() < 19 && value.bytes().all(|b| b.is_ascii_digit()));
    // A JSON string is a double-quoted YAML scalar.
    if bare { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}
