//! `import-ca`: adopts a certificate authority that another tool made.

use std::path::{Path, PathBuf};

use ::time::OffsetDateTime;
use clap::Args;
use zeroize::Zeroizing;

use super::init_ca::print;
use super::passphrase::PassphraseArgs;
use super::pki::{acknowledge, trust};
use super::{Context, Exit, Outcome};
use crate::ca::Passphrase;
use crate::ca::import::{Adopted, import, usages_left_out};
use crate::ca::stored::{check_cost, has_empty_passphrase, is_encrypted};
use crate::files::{self, FileError};
use crate::limits;

/// Adopt a certificate authority made by cfssl, openssl, easy-rsa, etcd-ca, step or kubeadm.
///
/// Checks that key and certificate belong together and that it is a CA that may sign, and writes copies into a PKI
/// directory that has none yet. The originals are left as they are. An encrypted key stays encrypted; one that takes more
/// than 256 MiB (scrypt) or 10,000,000 rounds (PBKDF2) to open is refused.
#[derive(Debug, Args)]
pub struct ImportCaArgs {
    /// The CA's certificate (PEM), alone or with those above it.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The CA's private key (PEM: PKCS#8, SEC1 or PKCS#1, encrypted or not).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The root's certificate, where the CA is an intermediate.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn run(context: &Context, args: &ImportCaArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let (cert_pem, key_pem) = (read(&args.cert)?, read(&args.key)?);
    let root_pem = args.root.as_deref().map(read).transpose()?;
    check_cost(&args.key, &key_pem)?;
    let passphrase = if has_empty_passphrase(&key_pem) {
        context.out.note("the key is encrypted with an empty passphrase; the copy is not encrypted");
        Some(Passphrase::new(Zeroizing::default()))
    } else {
        is_encrypted(&key_pem).then(|| args.passphrase.for_key(&args.key)).transpose()?
    };
    let adopted = Adopted {
        cert: &args.cert,
        cert_pem: &cert_pem,
        key: &args.key,
        key_pem: &key_pem,
        root: args.root.as_deref().zip(root_pem.as_ref().map(|bytes| bytes.as_slice())),
        passphrase: passphrase.as_ref(),
    };
    let mut left_out = usages_left_out(&args.cert, &cert_pem)?;
    if let Some((path, pem)) = adopted.root {
        left_out.extend(usages_left_out(path, pem)?);
    }
    let (made, writer) = import(&context.global.pki_dir, &trust(context), adopted, now)?;
    drop((key_pem, passphrase));
    print(context, writer.store(), &made, now)?;
    for (subject, usage) in left_out {
        context.out.warning(format_args!(
            "the extended key usages of {subject} leave out {usage}: no certificate below it can be used for that, and members \
             need both serverAuth and clientAuth; make that CA again without extended key usages"
        ));
    }
    acknowledge(context, writer, ["ca"].into_iter())?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    files::read_input(path, limits::PKI).map(|image| Zeroizing::new(image.bytes))
}
