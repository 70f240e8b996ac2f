//! The catalogue of pitfalls: one table, from which `verify` takes its codes, `explain` its pages and
//! `docs/pitfalls.md` its text. One file a family.

mod certificate;
mod code;
mod configuration;
mod connection;
mod files;
mod lints;
mod page;
mod revocation;
mod trust;

pub use code::Code;
pub use page::markdown;

/// One way in which etcd's TLS goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Pitfall {
    /// Its stable code, which has the name.
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// What etcd, its clients, curl, OpenSSL and Go print, word for word; `…` stands for what varies. The first is
    /// the one that tells most.
    pub says: &'static [&'static str],
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub cure: &'static str,
    /// The command that proves it, or proves that it is gone.
    pub proof: &'static str,
}

/// Every pitfall, by code.
pub fn catalogue() -> impl Iterator<Item = &'static Pitfall> {
    let mut all: Vec<&'static Pitfall> = [
        certificate::FAMILY,
        trust::FAMILY,
        files::FAMILY,
        connection::FAMILY,
        configuration::FAMILY,
        lints::FAMILY,
        revocation::FAMILY,
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|pitfall| pitfall.code);
    all.into_iter()
}

impl Code {
    /// The page of this pitfall.
    pub fn pitfall(self) -> &'static Pitfall {
        catalogue().find(|pitfall| pitfall.code == self).expect("a test holds that every code has its page")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_exactly_one_page_with_all_its_parts() {
        let pages: Vec<_> = catalogue().map(|pitfall| pitfall.code).collect();
        assert_eq!(pages, Code::ALL);
        for pitfall in catalogue() {
            for part in [pitfall.title, pitfall.cause, pitfall.cure, pitfall.proof] {
                assert!(!part.is_empty(), "{}", pitfall.code);
            }
            assert!(!pitfall.title.ends_with('.'), "{}: a title is no sentence", pitfall.code);
        }
    }

    #[test]
    fn a_code_is_read_in_every_form() {
        assert_eq!("EP001".parse(), Ok(Code::MissingClientAuth));
        assert_eq!("ep1".parse(), Ok(Code::MissingClientAuth));
        assert_eq!("expires-soon".parse(), Ok(Code::ExpiresSoon));
        assert_eq!(Code::ExpiresSoon.to_string(), "EP101");
        assert_eq!("EP999".parse::<Code>(), Err(()));
    }
}
