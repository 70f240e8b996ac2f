//! Profiles: what a certificate is for, as TOML templates. The built-in ones are in `pki-templates/`; a file of the
//! same name in the PKI directory's `templates/` takes its place, and other files there add profiles.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{CaError, CertName, KeyType, San};
use crate::files::{self, FileImage, Trust};
use crate::suggest::{similar, unknown_key};

pub(super) const BUILT_IN: [(&str, &str); 4] = [
    ("server", include_str!("../../pki-templates/server.toml")),
    ("peer", include_str!("../../pki-templates/peer.toml")),
    ("client", include_str!("../../pki-templates/client.toml")),
    ("proxy", include_str!("../../pki-templates/proxy.toml")),
];

/// The directory of templates in a PKI directory.
pub const TEMPLATE_DIR: &str = "templates";

/// What a certificate may be used for (RFC 5280 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// TLS servers.
    ServerAuth,
    /// TLS clients.
    ClientAuth,
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ServerAuth => "serverAuth",
            Self::ClientAuth => "clientAuth",
        })
    }
}

/// What a key may be used for (RFC 5280 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUsage {
    /// Signatures: TLS 1.3, and the (EC)DHE suites of TLS 1.2.
    DigitalSignature,
    /// RSA key transport in TLS 1.2.
    KeyEncipherment,
    /// Static Diffie-Hellman.
    KeyAgreement,
}

/// The subject's fields; `{name}` stands for the certificate's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SubjectTemplate {
    /// CN.
    pub common_name: Option<String>,
    /// O.
    pub organization: Option<String>,
    /// OU.
    pub organizational_unit: Option<String>,
    /// L.
    pub locality: Option<String>,
    /// ST.
    pub state: Option<String>,
    /// C, two letters.
    pub country: Option<String>,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Its name; the template's file name.
    #[serde(skip)]
    pub name: String,
    /// One line on what it is for.
    #[serde(default)]
    pub description: String,
    /// The extended key usages.
    pub usages: Vec<Usage>,
    /// The key usages; digitalSignature when absent. keyEncipherment is added for RSA keys.
    #[serde(default = "digital_signature")]
    pub key_usages: Vec<KeyUsage>,
    /// How long it lasts, in days.
    #[serde(default = "a_year")]
    pub days: u32,
    /// The kind of key.
    #[serde(default = "p256")]
    pub key_type: KeyType,
    /// Names that are added to the given ones.
    #[serde(default)]
    pub default_names: Vec<String>,
    /// The subject.
    #[serde(default)]
    pub subject: SubjectTemplate,
}

fn digital_signature() -> Vec<KeyUsage> {
    vec![KeyUsage::DigitalSignature]
}

const fn a_year() -> u32 {
    365
}

const fn p256() -> KeyType {
    KeyType::P256
}

impl Profile {
    /// Reads a template.
    ///
    /// # Errors
    /// [`CaError::Template`] with the line.
    pub fn parse(name: &str, origin: &str, text: &str) -> Result<Self, CaError> {
        let wrong = |what: String| CaError::Template { path: origin.to_owned(), what };
        let mut profile: Self = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            let message = error.message().trim_end().replace('\n', " ");
            let meant =
                meant(&message).map_or_else(String::new, |meant| format!("; {meant} was probably meant"));
            wrong(format!("line {line}: {message}{meant}"))
        })?;
        profile.name = name.to_owned();
        let subject = &profile.subject;
        if profile.usages.is_empty() {
            return Err(wrong("usages: a certificate that is for nothing is of no use to etcd".into()));
        }
        if profile.key_usages.is_empty() {
            return Err(wrong("key-usages: leave it out, or name at least digital-signature".into()));
        }
        if !(1..=36_500).contains(&profile.days) {
            return Err(wrong(format!("days: {} is not between 1 and 36500", profile.days)));
        }
        if *subject == SubjectTemplate::default() {
            return Err(wrong("subject: it has no field; a common-name or an organization is needed".into()));
        }
        if subject
            .country
            .as_ref()
            .is_some_and(|c| c.len() != 2 || !c.chars().all(|c| c.is_ascii_uppercase()))
        {
            return Err(wrong("subject.country: two capital letters, such as DE".into()));
        }
        let probe: CertName = "server1".parse()?;
        profile.default_names(&probe).map_err(|error| wrong(format!("default-names: {error}")))?;
        Ok(profile)
    }

    /// The names that it adds for `name`; those that cannot be DNS names (`server_` as a label is fine) are refused.
    ///
    /// # Errors
    /// [`CaError::BadValue`]
    pub fn default_names(&self, name: &CertName) -> Result<Vec<San>, CaError> {
        let expand = |text: &String| {
            let text = text.replace("{name}", name.as_str());
            if text.parse::<std::net::IpAddr>().is_ok() { San::ip(&text) } else { San::dns(&text) }
        };
        self.default_names.iter().map(expand).collect()
    }

    /// Whether it is for TLS servers, so that clients look for names in it.
    pub fn is_server(&self) -> bool {
        self.usages.contains(&Usage::ServerAuth)
    }
}

/// What the keys of a template are called elsewhere, and here.
const SYNONYMS: [(&str, &str); 13] = [
    ("validity", "days"),
    ("expiry", "days"),
    ("lifetime", "days"),
    ("extended-key-usage", "usages"),
    ("extended-key-usages", "usages"),
    ("eku", "usages"),
    ("algorithm", "key-type"),
    ("names", "default-names"),
    ("sans", "default-names"),
    ("cn", "common-name"),
    ("o", "organization"),
    ("ou", "organizational-unit"),
    ("c", "country"),
];

/// The key that was probably meant where one is not known.
fn meant(message: &str) -> Option<&str> {
    let (typed, known) = unknown_key(message)?;
    similar(typed, known, &SYNONYMS)
}

/// The profiles that a PKI directory knows.
#[derive(Debug, Clone)]
pub struct Profiles(BTreeMap<String, Result<Profile, String>>, std::path::PathBuf);

impl Profiles {
    /// The built-in ones, and those in `templates/` of the PKI directory.
    ///
    /// # Errors
    /// [`CaError::File`] when the directory cannot be read, or when somebody whom `trust` does not name could have written
    /// a template. A broken template is an error when it is asked for.
    pub fn load(pki_dir: &Path, trust: &Trust) -> Result<Self, CaError> {
        let mut found = BTreeMap::new();
        for (name, text) in BUILT_IN {
            found.insert(name.to_owned(), Ok(Profile::parse(name, name, text)?));
        }
        let dir = pki_dir.join(TEMPLATE_DIR);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self(found, dir)),
            Err(source) => return Err(files::FileError::Io { action: "read", path: dir, source }.into()),
        };
        trust.check_dir(&dir)?;
        for entry in entries.flatten() {
            let path = entry.path();
            let (Some(stem), Some("toml")) =
                (path.file_stem().and_then(|s| s.to_str()), path.extension().and_then(|s| s.to_str()))
            else {
                continue;
            };
            let read = || {
                let image = existing(&path)?;
                trust.check_file(&path, &image)?;
                parse(stem, &path, &image)
            };
            found.insert(stem.to_owned(), read().map_err(|error| error.to_string()));
        }
        Ok(Self(found, dir))
    }

    /// A template anywhere.
    ///
    /// # Errors
    /// [`CaError::Template`] or [`CaError::File`].
    pub fn read(name: &str, path: &Path) -> Result<Profile, CaError> {
        parse(name, path, &files::read_input(path, crate::limits::TEMPLATE)?)
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// [`CaError::UnknownProfile`], [`CaError::Template`].
    pub fn get(&self, name: &str) -> Result<&Profile, CaError> {
        match self.0.get(name) {
            Some(Ok(profile)) => Ok(profile),
            Some(Err(what)) => {
                let path = self.1.join(format!("{name}.toml")).display().to_string();
                let what = what.strip_prefix(&format!("{path}: ")).unwrap_or(what).to_owned();
                Err(CaError::Template { path, what })
            }
            None => Err(CaError::UnknownProfile {
                name: name.to_owned(),
                known: self.0.keys().cloned().collect(),
            }),
        }
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn existing(path: &Path) -> Result<FileImage, CaError> {
    let missing = || files::FileError::Io {
        action: "read",
        path: path.to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    };
    Ok(files::read(path)?.ok_or_else(missing)?)
}

fn parse(name: &str, path: &Path, image: &FileImage) -> Result<Profile, CaError> {
    Profile::parse(name, &path.display().to_string(), &String::from_utf8_lossy(&image.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_say_what_the_design_says() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = Profiles::load(dir.path(), &Trust::caller()).unwrap();
        let name: CertName = "server1".parse().unwrap();
        for member in ["server", "peer"] {
            let profile = profiles.get(member).unwrap();
            assert_eq!(profile.usages, [Usage::ServerAuth, Usage::ClientAuth]);
            let names: Vec<_> = profile.default_names(&name).unwrap().iter().map(San::to_string).collect();
            assert_eq!(names, ["DNS:server1", "DNS:localhost", "IP:127.0.0.1", "IP:::1"]);
        }
        assert_eq!(profiles.get("client").unwrap().usages, [Usage::ClientAuth]);
        let proxy = profiles.get("proxy").unwrap();
        assert_eq!((proxy.subject.common_name.as_ref(), proxy.default_names.len()), (None, 0));
        let Err(CaError::UnknownProfile { known, .. }) = profiles.get("etcd") else { panic!() };
        assert_eq!(known, ["client", "peer", "proxy", "server"]);
    }

    #[test]
    fn a_template_in_the_directory_wins_and_its_faults_are_told_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let templates = dir.path().join(TEMPLATE_DIR);
        files::make_dir(&templates, files::Meta::mode(files::FileMode::SECRET_DIR)).unwrap();
        let put = |file: &str, text: &str| {
            files::replace(
                &templates.join(file),
                text.as_bytes(),
                files::Meta::mode(files::FileMode::PUBLIC),
            )
            .unwrap();
        };
        put("client.toml", "usages = [\"client-auth\"]\ndays = 30\n[subject]\ncommon-name = \"{name}\"\n");
        put("backup.toml", "usages = [\"client-auth\"]\n\ndayz = 30\n");
        let profiles = Profiles::load(dir.path(), &Trust::caller()).unwrap();
        assert_eq!(profiles.get("client").unwrap().days, 30);
        let error = profiles.get("backup").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("dayz"), "{error}");
        assert!(profiles.get("server").is_ok(), "the others are unharmed");
    }
}
