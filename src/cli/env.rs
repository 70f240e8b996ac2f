//! `env`: the variables with which etcdctl reaches the cluster.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::pki::any_store;
use super::{Context, Exit, Failure, Outcome, completions, install};
use crate::etcd::{ClientUrl, Scheme, join};
use crate::files;
use crate::host::bundle::Bundle;
use crate::inventory::{Inventory, Member};

/// Where the inventory is when no other is named.
const INVENTORY: &str = "cluster.toml";

/// etcd's client port.
const CLIENT_PORT: u16 = 2379;

/// What the v3 and the v2 etcdctl call the CA, the certificate and the key.
const V3: [&str; 3] = ["ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"];
const V2: [&str; 3] = ["ETCDCTL_CA_FILE", "ETCDCTL_CERT_FILE", "ETCDCTL_KEY_FILE"];

/// Print the variables with which etcdctl reaches the cluster as NAME.
///
/// `eval "$(etcd-pki env client1)"` sets them in bash, zsh and sh, `etcd-pki env client1 --shell fish | source` in fish.
/// They hold absolute paths of the pair and the CA in the PKI directory. The variables of the other API are unset, since
/// etcdctl warns of each that it does not know.
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// The pair that etcdctl shows, as given to `issue`.
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(completions::pair_names))]
    name: String,
    /// The API that etcdctl is to use: 3, or 2 for etcd 3.5 and older.
    #[arg(long, value_enum, value_name = "2|3", default_value_t = Api::V3)]
    api: Api,
    /// The client URLs, separated by commas. [default: https on port 2379 of each member of the inventory]
    #[arg(long, value_name = "URL,…", value_delimiter = ',', value_parser = endpoint, conflicts_with = "inventory")]
    endpoints: Vec<ClientUrl>,
    /// The file that names the members. [default: cluster.toml]
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// The shell that reads them. [default: fish where $SHELL is fish, else sh]
    #[arg(long, value_enum, value_name = "SHELL")]
    shell: Option<ShellKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    V2,
    V3,
}

impl ValueEnum for Api {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::V2, Self::V3]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::V2 => PossibleValue::new("2").alias("v2"),
            Self::V3 => PossibleValue::new("3").alias("v3"),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShellKind {
    /// bash, zsh, dash and every other POSIX shell.
    #[value(alias = "bash", alias = "zsh")]
    Sh,
    /// fish.
    Fish,
}

/// Runs it.
///
/// # Errors
/// [`Failure`]
pub fn run(context: &Context, args: &EnvArgs) -> Outcome {
    any_store(context)?;
    let dir = &context.global.pki_dir;
    let bundle = Bundle::from_dir(dir, &args.name)
        .map_err(|error| install::bundle_failure(&error, &args.name, dir))?;
    let endpoints = endpoints(args)?;
    let (api, names, others) = match args.api {
        Api::V3 => (3, V3, V2),
        Api::V2 => (2, V2, V3),
    };
    let files = ["ca.pem".to_owned(), bundle.cert_file(), bundle.key_file()];
    let paths = files.iter().map(|file| absolute(&dir.join(file))).collect::<Result<Vec<_>, _>>()?;
    let head = [("ETCDCTL_API", api.to_string()), ("ETCDCTL_ENDPOINTS", endpoints)];
    let variables: Vec<(&str, String)> = head.into_iter().chain(names.into_iter().zip(paths)).collect();
    if context.global.json {
        let map: serde_json::Map<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        context.out.json(&json!({ "name": args.name, "api": api, "variables": map, "unset": others }));
    } else {
        let shell = args.shell.unwrap_or_else(ShellKind::of_caller);
        context.out.document(shell.script(&variables, &others).as_bytes());
    }
    Ok(Exit::Done)
}

fn endpoint(text: &str) -> Result<ClientUrl, String> {
    text.parse::<ClientUrl>()
        .map_err(|error| format!("{error}; give a URL such as https://172.16.0.101:2379"))
}

/// The endpoints that were given, else those of the inventory's members.
fn endpoints(args: &EnvArgs) -> Result<String, Failure> {
    if !args.endpoints.is_empty() {
        return Ok(join(&args.endpoints));
    }
    let path = match &args.inventory {
        Some(path) => path.clone(),
        None if files::kind_at(Path::new(INVENTORY))?.is_some() => PathBuf::from(INVENTORY),
        None => {
            let message = format!("no endpoint is named, and there is no {INVENTORY} here");
            return Err(Failure::usage("no-inventory", message).hint(format!(
                "give the members' URLs, as in `etcd-pki env {} --endpoints https://172.16.0.101:2379`, or their \
                 description with --inventory FILE",
                args.name
            )));
        }
    };
    let urls: Vec<ClientUrl> = Inventory::load(&path)?.members.iter().filter_map(url).collect();
    if urls.is_empty() {
        return Err(Failure::no("no-members", format!("{} names no member with an address", path.display()))
            .hint("add a [[member]] with its name and ips, or give --endpoints"));
    }
    Ok(join(&urls))
}

/// Where clients reach a member: its first address, or its first name.
fn url(member: &Member) -> Option<ClientUrl> {
    if let Some(&ip) = member.ips.first() {
        return Some(ClientUrl::new(Scheme::Https, std::net::SocketAddr::new(ip, CLIENT_PORT).into()));
    }
    member.dns.first().and_then(|name| format!("https://{name}:{CLIENT_PORT}").parse().ok())
}

fn absolute(path: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.into_os_string().into_string().map_err(|path| {
        Failure::no("not-text", format!("{} is not UTF-8 text", path.display()))
            .hint("etcdctl reads paths as UTF-8: name the PKI directory so")
    })
}

impl ShellKind {
    fn of_caller() -> Self {
        let shell = std::env::var_os("SHELL").map(PathBuf::from);
        let is_fish = shell.is_some_and(|shell| shell.file_name().is_some_and(|name| name == "fish"));
        if is_fish { Self::Fish } else { Self::Sh }
    }

    fn script(self, variables: &[(&str, String)], others: &[&str]) -> String {
        let line = |(name, value): &(&str, String)| match self {
            Self::Sh => format!("export {name}={}\n", self.quoted(value)),
            Self::Fish => format!("set -gx {name} {}\n", self.quoted(value)),
        };
        let unset = match self {
            Self::Sh => format!("unset {}\n", others.join(" ")),
            // It fails where one is not set.
            Self::Fish => format!("set -e {}; or true\n", others.join(" ")),
        };
        variables.iter().map(line).chain([unset]).collect()
    }

    /// The value in single quotes, as this shell reads it.
    fn quoted(self, value: &str) -> String {
        match self {
            Self::Sh => format!("'{}'", value.replace('\'', r"'\''")),
            Self::Fish => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_the_shell_that_reads_them() {
        let variables = [("A", r"/it's a \dir".to_owned())];
        assert_eq!(
            ShellKind::Sh.script(&variables, &["B", "C"]),
            "export A='/it'\\''s a \\dir'\nunset B C\n"
        );
        assert_eq!(
            ShellKind::Fish.script(&variables, &["B"]),
            "set -gx A '/it\\'s a \\\\dir'\nset -e B; or true\n"
        );
    }

    #[test]
    fn a_member_is_reached_at_its_first_address_else_at_its_first_name() {
        let member = |ips: &[&str], dns: &[&str]| Member {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            dns: dns.iter().map(|&name| name.to_owned()).collect(),
            ..Member::default()
        };
        let of = |member| url(&member).map(|url| url.to_string());
        assert_eq!(of(member(&["::1", "10.0.0.1"], &["a"])).as_deref(), Some("https://[::1]:2379"));
        assert_eq!(
            of(member(&[], &["etcd1.example.com"])).as_deref(),
            Some("https://etcd1.example.com:2379")
        );
        assert_eq!(of(member(&[], &[])), None);
    }
}
