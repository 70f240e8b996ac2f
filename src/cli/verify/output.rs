//! Results on stdout, in the form that was asked for.

use std::io::Write;

use ::time::OffsetDateTime;

use super::super::output::Style;
use super::super::pki::{date, expiry};
use super::super::{Context, Failure};
use super::VerifyArgs;
use super::args::Format;
use crate::verify::report::{self, Judged};
use crate::verify::{Finding, Severity, Verdict};

pub(super) fn format(context: &Context, args: &VerifyArgs) -> Result<Format, Failure> {
    match args.format {
        None if context.global.json => Ok(Format::Json),
        None => Ok(Format::Text),
        Some(other) if context.global.json && other != Format::Json => {
            Err(Failure::usage("conflicting-formats", "--json and another --format exclude each other"))
        }
        Some(format) => Ok(format),
    }
}

pub(super) fn print(
    context: &Context,
    format: Format,
    results: &[Judged],
    fail_on: Severity,
    at: OffsetDateTime,
) {
    match format {
        Format::Text => text(context, results, at),
        Format::Json => context.out.json(&report::json(results)),
        Format::Sarif => context.out.json(&report::sarif(results)),
        Format::Junit => raw(&report::junit(results, fail_on)),
        Format::Github => raw(&report::github(results)),
    }
}

/// Prints a document that brings its own line ends; a closed pipe is no reason to fail.
fn raw(document: &str) {
    let _ = std::io::stdout().lock().write_all(document.as_bytes());
}

fn text(context: &Context, results: &[Judged], at: OffsetDateTime) {
    let out = &context.out;
    for one in results {
        let verdict = match one.judgement.verdict {
            Verdict::Accept => out.paint("accept", Style::Green),
            Verdict::Reject => out.paint("reject", Style::Red),
        };
        let about = one.judgement.leaf.as_ref().map_or_else(String::new, |leaf| {
            let end = if leaf.not_after < at { date(leaf.not_after) } else { expiry(leaf.not_after, at) };
            format!("  {}, until {end}", leaf.subject)
        });
        let source = out.paint(&one.source, Style::Bold);
        out.line(format_args!("{verdict}  {source} as {}{about}", one.role.name()));
        for finding in &one.judgement.findings {
            show(context, finding);
        }
    }
    let rejected = results.iter().filter(|one| one.judgement.verdict == Verdict::Reject).count();
    out.note(format_args!(
        "{} judged, {} accepted, {rejected} refused",
        results.len(),
        results.len() - rejected
    ));
}

fn show(context: &Context, finding: &Finding) {
    let out = &context.out;
    let severity = match finding.severity {
        Severity::Error => out.paint("error", Style::Red),
        Severity::Warning => out.paint("warning", Style::Yellow),
        Severity::Info => out.paint("info", Style::Dim),
    };
    out.line(format_args!("  {severity} {} {}: {}", finding.code, finding.code.name(), finding.message));
    if let Some(says) = &finding.etcd_says {
        out.line(format_args!("    etcd says: {}", out.paint(says, Style::Dim)));
    }
    if let Some(fix) = &finding.fix {
        out.line(format_args!("    fix: {}", out.paint(fix, Style::Cyan)));
    }
}
