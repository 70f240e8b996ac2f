//! `explain`: from a code, a message or a log to cause and cure.

use std::io::{BufRead, Read};

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::output::Style;
use super::{Context, Exit, Failure, Outcome};
use crate::advice::Advice;
use crate::limits::{LOG, LOG_LINE, size};
use crate::verify::explain::{Cause, Explainer, explain};
use crate::verify::{Code, Pitfall};

/// How many causes people are shown.
const SHOWN: usize = 5;

/// Explain a pitfall by its code, or find the cause of an error message or a whole log of etcd, etcdctl, curl or Go.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etcd-pki explain EP012
  etcd-pki explain 'remote error: tls: bad certificate'
  journalctl -u etcd | etcd-pki explain -

Exit codes: 0 explained, 1 nothing in it is known.")]
pub struct ExplainArgs {
    /// A code such as EP012, a name such as wrong-san, a message, or - for a log on standard input.
    #[arg(required = true, value_name = "CODE|TEXT|-", add = ArgValueCompleter::new(super::completions::codes))]
    what: Vec<String>,
}

/// Runs it.
pub fn run(context: &Context, args: &ExplainArgs) -> Outcome {
    if let [word] = args.what.as_slice() {
        if let Ok(code) = word.parse::<Code>() {
            page(context, code.pitfall());
            return Ok(Exit::Done);
        }
        if is_code(word) {
            return Err(Failure::no("no-such-code", format!("there is no pitfall {word}"))
                .hint("the codes are listed in docs/pitfalls.md"));
        }
    }
    let causes = if args.what == ["-"] { explain_input()? } else { explain(&args.what.join(" ")) };
    if context.global.json {
        let shown = causes.iter().map(|cause| {
            let mut shown = json!(cause);
            shown["fix"] = json!(Advice::from(cause.pitfall.cure).at(&context.invocation));
            shown
        });
        context.out.json(&json!({ "causes": shown.collect::<Vec<_>>() }));
    } else if causes.is_empty() {
        context.out.line("no known problem matches this input");
    } else {
        let groups = groups(&causes);
        for (at, group) in groups.iter().take(SHOWN).enumerate() {
            show(context, at, group);
        }
        if groups.len() > SHOWN {
            context.out.note(format_args!("{} more, less likely; --json shows all", groups.len() - SHOWN));
        }
    }
    Ok(if causes.is_empty() { Exit::No } else { Exit::Done })
}

fn is_code(word: &str) -> bool {
    let digits = word.strip_prefix("EP").or_else(|| word.strip_prefix("ep"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Explains the log on standard input, line by line.
fn explain_input() -> Result<Vec<Cause>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage("unreadable", format!("cannot read standard input: {error}"))
            .hint("give a log, as in `journalctl -u etcd | etcd-pki explain -`")
    };
    let mut explainer = Explainer::new();
    // One byte more shows that there was more.
    let mut input = std::io::stdin().lock().take(LOG.bytes + 1);
    let mut line = Vec::with_capacity(LOG_LINE);
    loop {
        line.clear();
        let read = (&mut input).take(LOG_LINE as u64).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        if read == LOG_LINE && line.last() != Some(&b'\n') {
            input.skip_until(b'\n').map_err(unreadable)?;
        }
        explainer.line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
    }
    if input.limit() == 0 {
        let message =
            format!("standard input has more than {}, up to which {} are read", size(LOG.bytes), LOG.of);
        return Err(Failure::usage("too-large", message)
            .hint("give a part of it, as in `journalctl -u etcd --since -1h | etcd-pki explain -`"));
    }
    Ok(explainer.causes())
}

fn page(context: &Context, pitfall: &Pitfall) {
    if context.global.json {
        context.out.json(&json!({ "causes": [{
            "code": pitfall.code,
            "name": pitfall.code.name(),
            "title": pitfall.title,
            "cause": pitfall.cause,
            "fix": Advice::from(pitfall.cure).at(&context.invocation),
            "proof": pitfall.proof,
            "says": pitfall.says,
        }] }));
    } else {
        context.out.lines(pitfall.page(&context.invocation).trim_end().lines());
    }
}

/// Causes that the same lines point to, the likeliest first.
fn groups(causes: &[Cause]) -> Vec<Vec<&Cause>> {
    let mut groups: Vec<Vec<&Cause>> = Vec::new();
    for cause in causes {
        let same =
            |group: &&mut Vec<&Cause>| group[0].sample == cause.sample && group[0].lines == cause.lines;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(cause),
            None => groups.push(vec![cause]),
        }
    }
    groups
}

fn show(context: &Context, at: usize, group: &[&Cause]) {
    let out = &context.out;
    let cause = group[0];
    let pitfall = cause.pitfall;
    if at > 0 {
        out.line("");
    }
    let code = out.paint(format_args!("{} {}", pitfall.code, pitfall.code.name()), Style::Bold);
    let times = if cause.lines > 1 { format!("  ({} lines)", cause.lines) } else { String::new() };
    out.line(format_args!("{}. {code}: {}{times}", at + 1, pitfall.title));
    let mut refusals: Vec<_> = cause.refusals.iter().collect();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (refusal, count) in refusals.into_iter().take(SHOWN) {
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        out.line(format_args!("   {refusal}, {times}"));
    }
    out.line(format_args!("   why:   {}", pitfall.cause));
    if let Some(note) = cause.note {
        out.line(format_args!("   here:  {note}"));
    }
    out.line(format_args!(
        "   fix:   {}",
        out.paint(Advice::from(pitfall.cure).at(&context.invocation), Style::Cyan)
    ));
    out.line(format_args!("   proof: {}", cause.proof()));
    if let [_, others @ ..] = group
        && !others.is_empty()
    {
        let others =
            others.iter().map(|other| format!("{} {}", other.pitfall.code, other.pitfall.code.name()));
        out.line(format_args!("   or:    {}", others.collect::<Vec<_>>().join(", ")));
    }
}
