//! The `etcd-pki` command: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    etcd_pki::cli::main()
}
