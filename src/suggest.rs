//! The word that was probably meant: by what others call it, or by a slip of the finger.

/// How alike a word must be that is suggested: so many of its letters in five may be wrong.
const WRONG_IN_FIVE: usize = 2;

/// The word of `known` that `typed` was probably meant to be: what `synonyms` (what is typed, what is meant) say of it, else
/// the most similar one.
pub(crate) fn similar<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
    synonyms: &[(&str, &'a str)],
) -> Option<&'a str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace('_', "-");
    let typed = plain(typed);
    let known: Vec<&str> = known.into_iter().collect();
    let is_known = |meant: &&str| known.contains(meant);
    let synonym = synonyms.iter().find(|(word, meant)| *word == typed && is_known(meant));
    if let Some((_, meant)) = synonym {
        return Some(meant);
    }
    let distance = |word: &&str| strsim::osa_distance(&typed, &plain(word));
    let nearest = known.into_iter().min_by_key(distance)?;
    let longest = typed.chars().count().max(nearest.chars().count());
    (distance(&nearest) * 5 <= longest * WRONG_IN_FIVE).then_some(nearest)
}

/// The key of a fault of the TOML parser, such as "unknown field `a`, expected one of `b`, `c`", and the keys that are known.
pub(crate) fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (typed, rest) = rest.split_once("`, expected ")?;
    Some((typed, rest.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synonym_comes_before_the_nearest_word() {
        let known = ["issue", "revoke", "list", "install"];
        let of = |typed| similar(typed, known, &[("ls", "list"), ("deploy", "install"), ("make", "absent")]);
        assert_eq!(of("isue"), Some("issue"));
        assert_eq!(of("ISSUE"), Some("issue"));
        assert_eq!(of("insatll"), Some("install"), "two letters are swapped");
        assert_eq!(of("ls"), Some("list"));
        assert_eq!(of("deploy"), Some("install"));
        assert_eq!(of("make"), None, "the synonym's word is not among the known");
        assert_eq!(of("frobnicate"), None);
        assert_eq!(similar("ssl_dir", ["ssl-dir", "ssh"], &[]), Some("ssl-dir"));
        assert_eq!(similar("x", [], &[]), None);
    }
}
