//! Asking the operator before a cluster is changed.

use std::io::{BufRead, IsTerminal};

use super::super::{Context, Failure, Output};

/// Asks whether to go on; where there is no terminal, nobody can be asked.
pub(super) fn confirm(context: &Context) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(
            "no-terminal",
            "this would change the cluster, and there is no terminal to ask on",
        )
        .hint("look at `etcd-pki migrate plan`, then pass --yes"));
    }
    if ask(&context.out, "Go on? [y/N]") {
        Ok(())
    } else {
        Err(Failure::no("declined", "nothing was changed"))
    }
}

/// Asks; only a yes is one.
pub(super) fn ask(out: &Output, question: &str) -> bool {
    out.question(question);
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}
