//! Results in the forms that CI systems read: JSON, JUnit, GitHub annotations, SARIF.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::when::rfc3339;
use super::{Finding, Judgement, Role, Severity, Verdict, catalogue};
use crate::text;

/// As what something was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A certificate, in a role.
    Role(Role),
    /// A member's settings.
    Configuration,
}

impl Part {
    /// `server`, `peer`, `client`, `proxy` or `configuration`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Role(role) => role.name(),
            Self::Configuration => "configuration",
        }
    }
}

/// A judged certificate: where it came from, as what it was judged, and what was found.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The file, or `HOST:PORT` for what was served.
    pub source: String,
    /// The member whose it is, where members are judged.
    pub member: Option<String>,
    /// As what it was judged.
    pub part: Part,
    /// What came of it.
    pub judgement: Judgement,
}

impl Judged {
    /// A certificate judged in a role.
    pub fn new(source: impl Into<String>, role: Role, judgement: Judgement) -> Self {
        Self { source: source.into(), member: None, part: Part::Role(role), judgement }
    }

    /// Where it is: the file, on a member with its name before it, as `scp` has it.
    pub fn place(&self) -> String {
        match &self.member {
            Some(member) => format!("{member}:{}", self.source),
            None => self.source.clone(),
        }
    }

    /// Whether this alone makes the run fail.
    pub fn fails(&self, fail_on: Severity) -> bool {
        self.judgement.verdict == Verdict::Reject
            || self.judgement.findings.iter().any(|finding| finding.severity >= fail_on)
    }
}

impl Serialize for Judged {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let leaf = self.judgement.leaf.as_ref();
        let mut out = serializer.serialize_struct("Judged", 8)?;
        out.serialize_field("file", &self.source)?;
        out.serialize_field("findings", &self.judgement.findings)?;
        out.serialize_field("hosts", leaf.map_or(&[][..], |leaf| &leaf.hosts))?;
        out.serialize_field("member", &self.member)?;
        out.serialize_field("not_after", &leaf.map(|leaf| rfc3339(leaf.not_after)))?;
        out.serialize_field("role", self.part.name())?;
        out.serialize_field("subject", &leaf.map(|leaf| &leaf.subject))?;
        out.serialize_field("verdict", &self.judgement.verdict)?;
        out.end()
    }
}

/// `reject` as soon as one certificate is.
pub fn overall(results: &[Judged]) -> Verdict {
    let rejected = results.iter().any(|one| one.judgement.verdict == Verdict::Reject);
    if rejected { Verdict::Reject } else { Verdict::Accept }
}

/// JUnit XML: a test case for each certificate and role; it fails where the run does.
pub fn junit(results: &[Judged], fail_on: Severity) -> String {
    let failures = results.iter().filter(|one| one.fails(fail_on)).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let total = results.len();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<testsuites name=\"etcd-pki verify\" tests=\"{total}\" failures=\"{failures}\">");
    let _ = writeln!(out, "  <testsuite name=\"etcd-pki verify\" tests=\"{total}\" failures=\"{failures}\">");
    for one in results {
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\"",
            one.part.name(),
            xml(&format!("{} as {}", one.place(), one.part.name()))
        );
        if one.judgement.findings.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        out.push_str(">\n");
        let text: String = one.judgement.findings.iter().map(|finding| plain(finding) + "\n").collect();
        if one.fails(fail_on) {
            let first = one.judgement.findings.first().map(headline).unwrap_or_default();
            let _ = writeln!(out, "      <failure message=\"{}\">{}</failure>", xml(&first), xml(&text));
        } else {
            let _ = writeln!(out, "      <system-out>{}</system-out>", xml(&text));
        }
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// GitHub's workflow commands: an annotation for each finding.
pub fn github(results: &[Judged]) -> String {
    let data = |text: &str| text::escaped_lines(text).replace('%', "%25").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for (one, finding) in each(results) {
        let kind = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let title = format!("{} {}", finding.code, finding.code.name());
        let _ = writeln!(
            out,
            "::{kind} file={},title={}::{}",
            property(&one.place()),
            property(&title),
            data(&plain(finding))
        );
    }
    out
}

/// SARIF 2.1.0.
pub fn sarif(results: &[Judged]) -> Value {
    let rules: Vec<Value> = catalogue()
        .map(|pitfall| {
            json!({
                "id": pitfall.code,
                "name": pitfall.code.name(),
                "shortDescription": { "text": pitfall.title },
                "fullDescription": { "text": pitfall.cause },
                "help": { "text": pitfall.cure },
            })
        })
        .collect();
    let found: Vec<Value> = each(results)
        .map(|(one, finding)| {
            json!({
                "ruleId": finding.code,
                "level": match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Info => "note",
                },
                "message": { "text": plain(finding) },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(&one.place()) } } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "etcd-pki",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": found,
        }],
    })
}

fn each(results: &[Judged]) -> impl Iterator<Item = (&Judged, &Finding)> {
    results.iter().flat_map(|one| one.judgement.findings.iter().map(move |finding| (one, finding)))
}

fn headline(finding: &Finding) -> String {
    format!("{} {}: {}", finding.code, finding.code.name(), finding.message)
}

/// A finding on up to three lines.
fn plain(finding: &Finding) -> String {
    let mut text = headline(finding);
    if let Some(says) = &finding.etcd_says {
        let _ = write!(text, "\netcd says: {says}");
    }
    if let Some(fix) = &finding.fix {
        let _ = write!(text, "\nfix: {fix}");
    }
    text
}

/// Text for XML 1.0, which forbids most control characters: markup and everything that is not shown is escaped.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text::escaped_lines(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// A path as a relative or absolute URI reference.
fn uri(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' | b':' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Code;

    fn sample() -> Vec<Judged> {
        let finding = Finding {
            code: Code::WrongSan,
            severity: Severity::Error,
            message: "a, <b> & \"c\" 100%".to_owned(),
            etcd_says: Some("x509".to_owned()),
            fix: None,
        };
        let judgement = Judgement { verdict: Verdict::Reject, findings: vec![finding], leaf: None };
        vec![Judged::new("dir/a b.pem", Role::Server, judgement)]
    }

    #[test]
    fn markup_in_messages_stays_text() {
        let text = junit(&sample(), Severity::Error);
        assert!(text.contains("a, &lt;b&gt; &amp; &quot;c&quot; 100%") && text.contains("failures=\"1\""));
        let text = github(&sample());
        assert_eq!(
            text,
            "::error file=dir/a b.pem,title=EP005 wrong-san::EP005 wrong-san: a, <b> & \"c\" 100%25%0Aetcd says: x509\n"
        );
    }

    #[test]
    fn sarif_points_to_rules_that_exist() {
        let document = sarif(&sample());
        let rules = document["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
        assert!(rules.iter().any(|rule| rule["id"] == document["runs"][0]["results"][0]["ruleId"]));
        let uri =
            &document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(uri, "dir/a%20b.pem");
    }
}
