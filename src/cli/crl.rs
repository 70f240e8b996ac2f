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

/// Make the revocation list: crl.pem (etcd up to 3.5) and crl.der (any etcd; 3.6 and later read nothing else).
///
/// etcd checks serials only, not the list's dates; other software wants a new list before the next update.
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
        out.json(&json!({"pem": path_text(&text), "der": path_text(&der), "number": made.number, "revoked": made.revoked,
            "next_update": rfc3339(made.next_update)}));
    } else {
        out.line(format_args!(
            "{}  number {}, {} revoked",
            out.paint(text.display(), Style::Bold),
            made.number,
            made.revoked
        ));
        out.line(format_args!("{}  the same for etcd 3.6 and later", out.paint(der.display(), Style::Bold)));
        out.line(format_args!("  next list due {}", expiry(made.next_update, now)));
    }
    acknowledge(context, writer, ["crl"].into_iter())?;
    Ok(Exit::Done)
}
