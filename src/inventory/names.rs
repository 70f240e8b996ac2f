//! What may be a name: pure checks that `cluster.toml` and the command line share.

use std::net::IpAddr;

/// What is wrong with a text, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

fn fault(what: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault { what: what.into(), hint: hint.into() }
}

/// RFC 5280's upper bound of a CN.
const LONGEST_NAME: usize = 64;

/// What the files and directories of a PKI directory are called that belong to no certificate: `crl.pem`,
/// `ledger.jsonl`, `lock`, `templates/`. The CA's own stand in [`check_existing_name`].
const RESERVED: [&str; 4] = ["crl", "ledger", "lock", "templates"];

/// Whether a new certificate may have the name `text`: what [`check_existing_name`] says, and none of the tool's own
/// files is called so.
///
/// # Errors
/// [`Fault`]
pub fn check_name(text: &str) -> Result<(), Fault> {
    check_existing_name(text)?;
    if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
        let what = "this name is reserved for a file of the tool's own in the PKI directory";
        return Err(fault(what, format!("choose another, such as etcd-{}", text.to_ascii_lowercase())));
    }
    Ok(())
}

/// Whether `text` is safe as a file name, as a CN, in a command line and in a log: letters, digits, dots, dashes and
/// underscores; and no name of a CA or of a key.
///
/// # Errors
/// [`Fault`]
pub fn check_existing_name(text: &str) -> Result<(), Fault> {
    const PLAIN: &str = "use letters, digits, dots, dashes and underscores, such as server1";
    if text.is_empty() {
        return Err(fault("it is empty", PLAIN));
    }
    if text.contains('/') {
        return Err(fault("a name has no slash", "give the name alone; --pki-dir says where files go"));
    }
    if text.contains("..") {
        return Err(fault("a name has no `..`", PLAIN));
    }
    if text.starts_with(['.', '-', '_']) || text.ends_with(['.', '-']) {
        return Err(fault("a name begins with a letter or digit and does not end with a dot or dash", PLAIN));
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        return Err(fault("it has characters that a name may not have", PLAIN));
    }
    if text.len() > LONGEST_NAME {
        return Err(fault("it is longer than 64 characters", "a common name has at most 64"));
    }
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "ca" | "root-ca" | "issuing-ca") {
        return Err(fault("this name is the CA's own", "choose another, such as server1"));
    }
    if lower.ends_with("-key") {
        return Err(fault("it ends in -key, as key files do", "leave `-key` off"));
    }
    if lower.ends_with(".pem") {
        return Err(fault("it ends in .pem, as files do", "give the name without `.pem`"));
    }
    Ok(())
}

/// Checks a DNS name as it may stand in a certificate (a star for the whole first label is allowed); returns it in
/// lower case.
///
/// # Errors
/// [`Fault`]
pub fn check_dns(text: &str) -> Result<String, Fault> {
    const SUCH_AS: &str = "give a host name, such as etcd1.example.com";
    if text.is_empty() {
        return Err(fault("it is empty", SUCH_AS));
    }
    if text.parse::<IpAddr>().is_ok() {
        let hint = format!("use --ip {text}, or `ips` in cluster.toml");
        return Err(fault("this is an address, and clients look for addresses in IP SANs only", hint));
    }
    if !text.is_ascii() {
        let hint = "give its ASCII form, which begins with xn-- (`idn2 NAME` prints it)";
        return Err(fault("it has letters outside ASCII", hint));
    }
    if text.contains('/') || text.contains(':') {
        return Err(fault("a name has no scheme, port or path", SUCH_AS));
    }
    if let Some(short) = text.strip_suffix('.') {
        return Err(fault("clients look for the name without the dot at its end", format!("use {short}")));
    }
    if text.len() > 253 {
        return Err(fault("it is longer than 253 characters", SUCH_AS));
    }
    let host = text.strip_prefix("*.").unwrap_or(text);
    if host.contains('*') {
        let hint = "only the whole first label may be a star, such as *.example.com";
        return Err(fault("a star stands where it does not count", hint));
    }
    for label in host.split('.') {
        let is_label = (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && !label.starts_with('-')
            && !label.ends_with('-');
        if !is_label {
            return Err(fault(format!("{label:?} is not a label of a host name"), SUCH_AS));
        }
    }
    if host.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit())) {
        return Err(fault("it ends in a number, so clients take it for an address", "use --ip"));
    }
    Ok(text.to_ascii_lowercase())
}

/// Checks an address that somebody is to dial; a v4 address written as v6 becomes v4, as Go compares them.
///
/// # Errors
/// [`Fault`]
pub fn check_ip(address: IpAddr) -> Result<IpAddr, Fault> {
    let address = address.to_canonical();
    let broadcast = IpAddr::from([255, 255, 255, 255]);
    if address.is_unspecified() || address.is_multicast() || address == broadcast {
        return Err(fault("nobody can dial it", "give the address at which it is reached"));
    }
    Ok(address)
}
