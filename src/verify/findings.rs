//! Findings while they are gathered.

use std::collections::HashSet;

use super::pitfalls::Code;
use super::{Finding, Judgement, Leaf, Severity, Verdict};
use crate::advice::{Advice, Directory};

/// What was found so far, and whether any of it makes etcd refuse.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    rejected: bool,
}

impl Findings {
    /// Adds others' findings behind these.
    pub(super) fn append(&mut self, more: &Self) {
        self.rejected |= more.rejected;
        self.list.extend(more.list.iter().cloned());
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The same, with commands of ours in another PKI directory.
    pub(super) fn cured_within(&self, directory: Directory) -> Self {
        let mut findings = self.clone();
        for finding in &mut findings.list {
            finding.fix = finding.fix.take().map(|fix| fix.within(directory));
        }
        findings
    }

    /// The verdict that they make, what decided it first.
    pub(super) fn judgement(mut self, leaf: Option<Leaf>) -> Judgement {
        if self.list.len() > 1 {
            let mut said = HashSet::new();
            self.list.retain(|one| said.insert((one.code, one.message.clone(), one.etcd_says.clone())));
        }
        self.list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let verdict = if self.rejected { Verdict::Reject } else { Verdict::Accept };
        Judgement { verdict, findings: self.list, leaf }
    }

    /// etcd refuses because of this.
    pub(super) fn reject(
        &mut self,
        code: Code,
        message: impl Into<String>,
        etcd_says: impl Into<String>,
        fix: impl Into<Advice>,
    ) {
        self.rejected = true;
        self.push(code, Severity::Error, message.into(), Some(etcd_says.into()), Some(fix.into()));
    }

    /// etcd accepts this, and it will bite.
    pub(super) fn lint(
        &mut self,
        code: Code,
        severity: Severity,
        message: impl Into<String>,
        fix: impl Into<Advice>,
    ) {
        self.push(code, severity, message.into(), None, Some(fix.into()));
    }

    fn push(
        &mut self,
        code: Code,
        severity: Severity,
        message: String,
        etcd_says: Option<String>,
        fix: Option<Advice>,
    ) {
        self.list.push(Finding { code, severity, message, etcd_says, fix });
    }

    /// etcd accepts this here, and refuses it elsewhere in these words.
    pub(super) fn warn(
        &mut self,
        code: Code,
        message: impl Into<String>,
        says: impl Into<String>,
        fix: impl Into<Advice>,
    ) {
        self.push(code, Severity::Warning, message.into(), Some(says.into()), Some(fix.into()));
    }
}
