//! `crl`: the list of revoked certificates.

use ::time::OffsetDateTime;
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::{Signing, acknowledge, expiry, rfc3339, signing, writer};
use super::{Context, Exit, Outcome};
use crate::ca::revoke::{CRL_DER_FILE, CRL_PEM_FILE, make_crl};
use crate::ca::stored::check_crl_file;
use crate::text::path_text;
use crate::verify::{Code, grpc_only};

/// Make the revocation list: crl.der, which every etcd reads, and crl.pem for other software.
///
/// Give etcd crl.der with --client-crl-file and --peer-crl-file. From 3.6 on it reads no PEM: with crl.pem it refuses every
/// client then. etcd reads the first list of a file, at each handshake, and checks serials only: not who signed the list,
/// nor its dates. Other software wants a new list before the next update.
///
/// What a list does not do: connections of a revoked client that are open go on until the member restarts. A member with a
/// revoked peer pair stays in the cluster, since the other members dial it and check no list then: remove it with `etcdctl
/// member remove`. Where --listen-client-http-urls is set, etcd 3.4 from 3.4.25 on, 3.5.8 to 3.5.31 and 3.6.0 to 3.6.12 do
/// not check the list on their gRPC ports (GHSA-3wh4-j44w-pg92): upgrade, or remove that option, or replace the CA.
#[derive(Debug, Args)]
pub struct CrlArgs {
    /// How many days until the next list is due.
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    days: u32,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn run(context: &Context, args: &CrlArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let out = &context.out;
    let Signing { mut writer, authority, .. } =
        signing(context, &args.passphrase, writer(context, "crl")?, "crl", now)?;
    check_crl_file(&writer.store().path(CRL_PEM_FILE))?;
    let made = make_crl(&mut writer, &authority, args.days, now)?;
    drop(authority);
    let store = writer.store();
    let (text, der) = (store.path(CRL_PEM_FILE), store.path(CRL_DER_FILE));
    if context.global.json {
        out.json(&json!({"der": path_text(&der), "pem": path_text(&text), "number": made.number, "revoked": made.revoked,
            "next_update": rfc3339(made.next_update)}));
    } else {
        out.line(format_args!(
            "{}  number {}, {} revoked",
            out.paint(der.display(), Style::Bold),
            made.number,
            made.revoked
        ));
        out.line(format_args!("{}  the same in PEM", out.paint(text.display(), Style::Bold)));
        out.line(format_args!("  next list due {}", expiry(made.next_update, now)));
    }
    out.note(format_args!(
        "give etcd {CRL_DER_FILE}: from 3.6 on it does not read {CRL_PEM_FILE} and refuses every client with it"
    ));
    if made.revoked > 0 {
        note_limits(context);
    }
    acknowledge(context, writer, ["crl"].into_iter())?;
    Ok(Exit::Done)
}

/// Says where a list does not keep a revoked client out.
pub(super) fn note_limits(context: &Context) {
    context.out.note("open connections of a revoked client go on until the member restarts");
    context.out.note(format_args!(
        "with --listen-client-http-urls, etcd before 3.5.32 and 3.6.13 does not check it over gRPC ({})",
        grpc_only::ADVISORY
    ));
    context.out.note(format_args!(
        "  upgrade, or remove that option, or replace the CA: `etcd-pki explain {}`",
        Code::CrlNotChecked
    ));
}
