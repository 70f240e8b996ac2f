//! Results on stdout, in the form that was asked for.

use ::time::OffsetDateTime;
use serde::Serialize;
use serde::ser::SerializeMap;

use super::super::output::Style;
use super::super::pki::{date, expiry};
use super::super::{Context, Failure, table};
use super::VerifyArgs;
use super::args::Format;
use crate::survey::Dial;
use crate::verify::report::{self, Judged, Part};
use crate::verify::{Finding, Judgement, Role, Severity, Verdict};

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

/// Everything that was judged.
pub(super) struct Report<'a> {
    pub(super) results: &'a [Judged],
    /// With `--cluster`, every member dialling every other one.
    pub(super) dials: Option<&'a [Dial]>,
}

impl Report<'_> {
    /// Whether the command fails.
    pub(super) fn fails(&self, fail_on: Severity) -> bool {
        self.results.iter().any(|one| one.fails(fail_on))
            || self.dials.into_iter().flatten().any(|dial| {
                dial.verdict == Verdict::Reject
                    || dial.findings.iter().any(|finding| finding.severity >= fail_on)
            })
    }

    fn verdict(&self) -> Verdict {
        let dial_refused = self.dials.into_iter().flatten().any(|dial| dial.verdict == Verdict::Reject);
        if dial_refused { Verdict::Reject } else { report::overall(self.results) }
    }

    /// Refused dials as results of their own, for the forms that know nothing of dials.
    fn flat(&self) -> Vec<Judged> {
        let dials = self.dials.into_iter().flatten().map(|dial| Judged {
            source: format!("{} -> {} {}", dial.from, dial.to, dial.url),
            member: None,
            part: Part::Role(Role::Peer),
            judgement: Judgement { verdict: dial.verdict, findings: dial.findings.clone(), leaf: None },
        });
        self.results.iter().cloned().chain(dials).collect()
    }
}

impl Serialize for Report<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        if let Some(dials) = self.dials {
            out.serialize_entry("dials", dials)?;
        }
        out.serialize_entry("results", self.results)?;
        out.serialize_entry("verdict", &self.verdict())?;
        out.end()
    }
}

pub(super) fn print(
    context: &Context,
    format: Format,
    report: &Report<'_>,
    fail_on: Severity,
    at: OffsetDateTime,
) {
    match format {
        Format::Text => {
            text(context, report.results, at);
            if let Some(dials) = report.dials {
                matrix(context, dials);
            }
            summary(context, report);
        }
        Format::Json => context.out.json(report),
        Format::Sarif => context.out.json(&report::sarif(&report.flat())),
        Format::Junit => context.out.document(report::junit(&report.flat(), fail_on).as_bytes()),
        Format::Github => context.out.document(report::github(&report.flat()).as_bytes()),
    }
}

fn text(context: &Context, results: &[Judged], at: OffsetDateTime) {
    let out = &context.out;
    let mut lines = Vec::new();
    for one in results {
        let verdict = match one.judgement.verdict {
            Verdict::Accept => out.paint("accept", Style::Green),
            Verdict::Reject => out.paint("reject", Style::Red),
        };
        let about = one.judgement.leaf.as_ref().map_or_else(String::new, |leaf| {
            let end = if leaf.not_after < at { date(leaf.not_after) } else { expiry(leaf.not_after, at) };
            format!("  {}, until {end}", leaf.subject)
        });
        let source = out.paint(one.place(), Style::Bold);
        lines.push(format!("{verdict}  {source} as {}{about}", one.part.name()));
        for finding in &one.judgement.findings {
            show(context, finding, &mut lines);
        }
    }
    out.lines(lines);
}

fn summary(context: &Context, report: &Report<'_>) {
    let all = report.results.iter().map(|one| one.judgement.verdict);
    let dials = report.dials.into_iter().flatten().map(|dial| dial.verdict);
    let count = |verdicts: &mut dyn Iterator<Item = Verdict>| {
        verdicts.fold((0, 0), |(all, no), verdict| (all + 1, no + usize::from(verdict == Verdict::Reject)))
    };
    let ((judged, refused), (tried, failed)) = (count(&mut { all }), count(&mut { dials }));
    let mut line = format!("{judged} judged, {} accepted, {refused} refused", judged - refused);
    if report.dials.is_some() {
        line += &format!("; {tried} dials, {failed} refused");
    }
    context.out.note(line);
}

/// Who can dial whom, as a small table, and why not.
fn matrix(context: &Context, dials: &[Dial]) {
    let out = &context.out;
    let mut names: Vec<&str> = Vec::new();
    for dial in dials {
        for name in [dial.from.as_str(), dial.to.as_str()] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.sort_unstable();
    if names.is_empty() {
        return;
    }
    let (first, rows, heads) = headings(&names, table::terminal_width());
    let width = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0).max(3);
    out.line("");
    out.line(out.paint("can the row dial the column?", Style::Bold));
    let heads: String = heads.iter().map(|head| format!("  {head:<width$}")).collect();
    out.line(format!("{:<first$}{heads}", "").trim_end());
    for (from, row) in names.iter().zip(rows) {
        let cells = names.iter().map(|to| {
            let between = dials.iter().filter(|dial| dial.from == *from && dial.to == *to);
            // One URL of several that works is enough.
            let works = between.map(|dial| dial.verdict == Verdict::Accept).reduce(|one, other| one || other);
            let (text, style) = match works {
                None if from == to => ("-", Style::Dim),
                None => ("?", Style::Yellow),
                Some(true) => ("yes", Style::Green),
                Some(false) => ("no", Style::Red),
            };
            format!("  {}{}", out.paint(text, style), " ".repeat(width - text.len()))
        });
        let cells: String = cells.collect();
        out.line(format!("{row:<first$}{cells}").trim_end());
    }
    let mut lines = Vec::new();
    for dial in dials.iter().filter(|dial| !dial.findings.is_empty()) {
        let from = dial.source.map_or_else(String::new, |source| format!(" from {source}"));
        lines.push(format!("{} -> {} {}{from}", dial.from, dial.to, dial.url));
        for finding in &dial.findings {
            show(context, finding, &mut lines);
        }
    }
    out.lines(lines);
}

/// The width of the first column, the headings of the rows and of the columns: names, or numbers for the columns where a
/// terminal is too narrow for the names.
fn headings(names: &[&str], terminal: Option<u16>) -> (usize, Vec<String>, Vec<String>) {
    let longest = |heads: &[String]| heads.iter().map(|head| head.chars().count()).max().unwrap_or(0);
    let plain: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let width = longest(&plain).max(3);
    let total = width + names.len() * (width + 2);
    if terminal.is_none_or(|terminal| total <= usize::from(terminal)) {
        return (width, plain.clone(), plain);
    }
    let numbers: Vec<String> = (1..=names.len()).map(|number| number.to_string()).collect();
    let rows: Vec<String> =
        numbers.iter().zip(names).map(|(number, name)| format!("{number} {name}")).collect();
    (longest(&rows), rows, numbers)
}

fn show(context: &Context, finding: &Finding, lines: &mut Vec<String>) {
    let out = &context.out;
    let severity = match finding.severity {
        Severity::Error => out.paint("error", Style::Red),
        Severity::Warning => out.paint("warning", Style::Yellow),
        Severity::Info => out.paint("info", Style::Dim),
    };
    lines.push(format!("  {severity} {} {}: {}", finding.code, finding.code.name(), finding.message));
    if let Some(says) = &finding.etcd_says {
        lines.push(format!("    etcd says: {}", out.paint(says, Style::Dim)));
    }
    if let Some(fix) = &finding.fix {
        lines.push(format!("    fix: {}", out.paint(fix, Style::Cyan)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_numbers_where_names_do_not_fit() {
        let names = ["etcd-1.example.com", "etcd-2.example.com", "etcd-3.example.com"];
        let (first, rows, heads) = headings(&names, Some(80));
        assert_eq!(
            (first, rows.as_slice(), heads.as_slice()),
            (18, &names.map(String::from)[..], &names.map(String::from)[..])
        );
        let (first, rows, heads) = headings(&names, Some(60));
        assert_eq!((first, rows[1].as_str(), heads[1].as_str()), (20, "2 etcd-2.example.com", "2"));
        // A pipe has no width.
        assert_eq!(headings(&names, None).2, names);
    }
}
