//! Interrupts a command at its system calls, and looks at what it left and at what the same command makes of it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::bench::{Bench, Ran};
use crate::calls::Call;
use crate::common::skipped;
use crate::image::{Body, Image, is_hidden};
use crate::likeness::{describe, difference};
use crate::power::{Model, View};
use crate::report::Report;
use crate::scenarios::{Again, Scenario};
use crate::whole::{self, PKI};

/// Whether every point is tried.
pub(crate) fn all_points() -> bool {
    std::env::var_os("ETCDPKI_TEST_ALL").is_some()
}

/// How many points of a kind the short form tries in a scenario.
const SHORT: usize = 12;
/// The same where several of these are the same code in the tool: errors.
const SHORTER: usize = 6;

/// Everything that is known of a scenario.
struct Case<'a> {
    scenario: &'a Scenario,
    bench: Bench,
    /// What it starts from.
    start: Image,
    /// What an undisturbed run leaves.
    finished: BTreeMap<PathBuf, String>,
    calls: Vec<Call>,
    /// The last call that changes something here or makes it durable.
    last: usize,
    /// Whether the ledger knows every certificate at the start.
    is_recorded: bool,
}

/// Interrupts a scenario in every way.
///
/// # Panics
/// When any point is not as it must be; all that are not are named.
pub(crate) fn interrupt(name: &str, scenario: &Scenario) {
    let can_trace =
        std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "/bin/true"]).output();
    if !can_trace.is_ok_and(|output| output.status.success()) {
        return skipped("strace cannot trace here");
    }
    if scenario.args.contains(&"2379:2380") && !rustix::process::geteuid().is_root() {
        return skipped("only root gives files away");
    }
    let case = Case::new(scenario);
    let mut report = Report::new(name, scenario);
    case.kill(&mut report);
    case.fail(&mut report, "EIO");
    case.fail(&mut report, "ENOSPC");
    case.cut_power(&mut report);
    case.kill_and_go_on(&mut report);
    report.finish();
}

impl<'a> Case<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let bench = Bench::new();
        (scenario.prepare)(&bench);
        let start = bench.image();
        let (ran, calls) = bench.traced(scenario.args);
        assert_eq!(ran.code, Some(0), "{:?}: {ran:?}", scenario.args);
        let image = bench.image();
        let wrong = [whole::leftovers(&image), everything(&image)].concat();
        assert!(wrong.is_empty(), "{:?}, undisturbed: {wrong:?}", scenario.args);
        let mut model = Model::new(&bench.work(), &start, umask());
        let mut last = 0;
        for (at, call) in calls.iter().enumerate() {
            if model.apply(call) {
                last = at;
            }
        }
        assert_eq!(model.disk(View::All), image, "{:?}: the model is not what happened", scenario.args);
        let is_recorded = whole::unrecorded(&start).is_empty();
        Self { scenario, bench, start, finished: describe(&image), calls, last, is_recorded }
    }

    /// The points of the first thread, or a part of them that is always the same: for `names` all that change a
    /// directory, and of the rest so many at equal distances.
    fn points(&self, most: usize, names: bool, phase: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..self.calls.len())
            .filter(|&at| self.calls[at].is_main && self.calls[at].is_change())
            .collect();
        if all_points() || all.len() <= most {
            return all;
        }
        let stride = all.len().div_ceil(most);
        let chosen = all.iter().enumerate().filter(|&(count, &at)| {
            count % stride == phase % stride || (names && count % 2 == 0 && self.calls[at].is_rename())
        });
        chosen.map(|(_, &at)| at).collect()
    }

    fn describe(&self, at: usize) -> String {
        let call = &self.calls[at];
        let path = call.result_path.clone().or_else(|| call.fd_path(0)).unwrap_or_default();
        format!("{} #{} ({})", call.name, call.nth, path.display())
    }

    fn kill(&self, report: &mut Report) {
        for at in self.points(SHORT, true, 0) {
            self.start.put(&self.bench.work());
            let (ran, _) = self.bench.faulted(self.scenario.args, &self.calls[at], "signal=KILL");
            let result = if ran.code.is_none() {
                self.finishes(at > self.last)
            } else {
                Err(format!("it was not killed: {ran:?}"))
            };
            report.add("kill", self.describe(at), result);
        }
    }

    fn fail(&self, report: &mut Report, error: &'static str) {
        let phase = if error == "EIO" { 1 } else { 2 };
        for at in self.points(SHORTER, false, phase) {
            self.start.put(&self.bench.work());
            let fault = format!("error={error}");
            let (ran, is_injected) = self.bench.faulted(self.scenario.args, &self.calls[at], &fault);
            let is_stderr = self.calls[at].name == "write" && self.calls[at].fd(0) == Some(2);
            let result = if is_injected {
                self.ended_well(&ran, is_stderr).and_then(|()| self.goes_on(&ran, at > self.last))
            } else {
                Err(format!("the fault did not happen: {ran:?}"))
            };
            report.add(error, self.describe(at), result);
        }
    }

    /// What an exit code says must be so.
    fn ended_well(&self, ran: &Ran, is_stderr: bool) -> Result<(), String> {
        if ran.err.contains("panicked") {
            return Err(format!("a panic: {ran:?}"));
        }
        let image = self.bench.image();
        let mut wrong = [everything_now(&image), whole::torn_pairs(&image)].concat();
        match ran.code {
            Some(0) => {
                let visible = describe(&image).into_iter().filter(|(path, _)| !is_hidden(path)).collect();
                wrong.extend(difference(&self.finished, &visible).map(|what| format!("exit 0, but {what}")));
            }
            Some(1) => {
                if content(&image) != content(&self.start) {
                    wrong.push("exit 1 (refused before anything changed), but something has changed".into());
                }
            }
            Some(3) => {}
            _ => wrong.push("it must end with 0, 1 or 3".into()),
        }
        let has_words = ran.err.contains("error: ") && ran.err.contains("hint: ");
        if ran.code != Some(0) && !is_stderr && !has_words {
            wrong.push("an error needs a hint".into());
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n    {ran:?}", wrong.join("\n    "))) }
    }

    /// After an error: the same command, or where it succeeded all the same, another that takes away what was left.
    fn goes_on(&self, ran: &Ran, is_done: bool) -> Result<(), String> {
        if ran.code != Some(0) {
            return self.finishes(is_done);
        }
        let Some(other) = self.scenario.other else {
            return if self.scenario.again == Again::Exists { Ok(()) } else { self.finishes(true) };
        };
        let ran = self.bench.run(other);
        if ran.code != Some(0) {
            return Err(format!("{other:?} after it: {ran:?}"));
        }
        let wrong = whole::leftovers(&self.bench.image());
        if wrong.is_empty() { Ok(()) } else { Err(format!("after {other:?}: {}", wrong.join(", "))) }
    }

    fn cut_power(&self, report: &mut Report) {
        let mut model = Model::new(&self.bench.work(), &self.start, umask());
        let mut seen = HashSet::from([self.start.clone()]);
        let mut disks = Vec::new();
        for (at, call) in self.calls.iter().enumerate() {
            if !model.apply(call) {
                continue;
            }
            for view in [View::Synced, View::Newest, View::Names] {
                let disk = model.disk(view);
                if seen.insert(disk.clone()) {
                    disks.push((at, view, disk));
                }
            }
        }
        let stride = if all_points() { 1 } else { disks.len().div_ceil(2 * SHORT).max(1) };
        for (at, view, disk) in disks.into_iter().step_by(stride) {
            disk.put(&self.bench.work());
            report.add(
                "power cut",
                format!("after {}, {view:?}", self.describe(at)),
                self.finishes(at >= self.last),
            );
        }
    }

    fn kill_and_go_on(&self, report: &mut Report) {
        let Some(other) = self.scenario.other else { return };
        for at in self.points(SHORTER, false, 3) {
            self.start.put(&self.bench.work());
            self.bench.faulted(self.scenario.args, &self.calls[at], "signal=KILL");
            report.add("kill, then another", self.describe(at), self.is_finished_by(other));
        }
    }

    /// Another command finishes what was left, or there was nothing yet that it could work on.
    fn is_finished_by(&self, other: &[&str]) -> Result<(), String> {
        let before = self.bench.image();
        let had_ca = before.file(&format!("{PKI}/ca.pem")).is_some() || !whole::missing(&before).is_empty();
        let ran = self.bench.run(other);
        if ran.code != Some(0) {
            return if had_ca { Err(format!("{other:?}: {ran:?}")) } else { self.finishes(false) };
        }
        let image = self.bench.image();
        let mut wrong = [whole::leftovers(&image), everything(&image)].concat();
        if image.file("pki/bystander.pem").is_some() {
            let verified = self.bench.run(&["verify", "pki/bystander.pem"]);
            if verified.code != Some(0) {
                wrong.push(format!("its certificate: {verified:?}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("after {other:?}: {}", wrong.join("\n    "))) }
    }

    /// What was left is whole, others can read it, and the same command leaves what it would have left at once.
    /// `is_done` says that its work was done, so that "already exists" is right where it never overwrites.
    fn finishes(&self, is_done: bool) -> Result<(), String> {
        let before = self.bench.image();
        let mut wrong = everything_now(&before);
        if self.is_recorded {
            wrong.extend(whole::unrecorded(&before));
        }
        // Between the renames of two files there is no pair for a moment; the next command completes it.
        if self.scenario.command != "install" {
            wrong.extend(whole::torn_pairs(&before));
        }
        wrong.extend(self.readers(&before));
        let again = self.bench.run(self.scenario.args);
        let after = self.bench.image();
        let is_refused = again.code == Some(1) && again.err.contains("exists");
        // What was done and reported is not asked for again, but anew.
        let is_anew = is_done && describe(&before) == self.finished;
        if !(again.code == Some(0) || is_refused && is_anew && self.scenario.again == Again::Exists) {
            wrong.push(format!("run again: {again:?}"));
        }
        wrong.extend([everything(&after), whole::leftovers(&after)].concat());
        if !(is_anew && self.scenario.again == Again::Anew) {
            wrong.extend(
                difference(&self.finished, &describe(&after)).map(|what| format!("run again: {what}")),
            );
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n    ")) }
    }

    /// `list` and `verify` read what is in place and nothing of what is on its way there, and change nothing.
    fn readers(&self, image: &Image) -> Vec<String> {
        if image.file(&format!("{PKI}/ca.pem")).is_none() {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        for args in [&["list", "--json"][..], &["verify"]] {
            let ran = self.bench.run(args);
            let is_nothing = args[0] == "verify" && !has_leaf(image) && ran.code == Some(2);
            if !(matches!(ran.code, Some(0 | 1)) || is_nothing) || ran.err.contains("panicked") {
                wrong.push(format!("{args:?}: {ran:?}"));
            }
            if [&ran.out, &ran.err].iter().any(|text| text.contains(&format!("{PKI}/."))) {
                wrong.push(format!("{args:?} reads what is not in place: {ran:?}"));
            }
            if args[0] == "list" {
                wrong.extend(listed_but_not_there(&ran, image));
            }
        }
        if self.bench.image() != *image {
            wrong.push("list or verify has changed something".into());
        }
        wrong
    }
}

/// Whether there is a certificate that `verify` can verify.
fn has_leaf(image: &Image) -> bool {
    let authorities = [format!("{PKI}/ca.pem"), format!("{PKI}/issuing-ca.pem")];
    let is_leaf = |path: &Path| {
        path.extension().is_some_and(|end| end == "pem") && authorities.iter().all(|ca| path != Path::new(ca))
    };
    whole::placed_serials(image).iter().any(|(path, _)| is_leaf(path))
}

/// Certificates that `list` calls valid and that are not in place.
fn listed_but_not_there(ran: &Ran, image: &Image) -> Vec<String> {
    let Ok(listed) = serde_json::from_str::<serde_json::Value>(&ran.out) else { return Vec::new() };
    let placed: HashSet<String> =
        whole::placed_serials(image).into_iter().map(|(_, serial)| serial).collect();
    let valid = listed["certificates"].as_array().into_iter().flatten().filter(|one| one["state"] == "valid");
    let serials = valid.filter_map(|one| one["serial"].as_str());
    serials
        .filter(|serial| !placed.contains(serial.trim_start_matches("00")))
        .map(|serial| format!("list says that {serial} is valid, and it is not in place"))
        .collect()
}

/// What may never be so, not for a moment.
fn everything_now(image: &Image) -> Vec<String> {
    [whole::open_keys(image), whole::used_twice(image)].concat()
}

/// What may not be so after a command has ended well.
fn everything(image: &Image) -> Vec<String> {
    [
        everything_now(image),
        whole::torn_pairs(image),
        whole::unrecorded(image),
        whole::missing(image),
        whole::lists_differ(image),
    ]
    .concat()
}

/// The files that somebody may use, without what a run may leave behind.
fn content(image: &Image) -> Vec<(PathBuf, Vec<u8>)> {
    let files = image.files().filter(|(path, ..)| !is_hidden(path) && !path.ends_with("lock"));
    files
        .filter(|(.., bytes)| !bytes.is_empty())
        .map(|(path, _, bytes)| (path.to_owned(), bytes.to_vec()))
        .collect()
}

/// The mode bits that this process, and the tool with it, never gives.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

/// Whether a run of the tool changes anything.
pub(crate) fn changes_something(args: &[&str], prepare: fn(&Bench)) -> Option<String> {
    let bench = Bench::new();
    prepare(&bench);
    let before = bench.image();
    let (ran, calls) = bench.traced(args);
    assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    let mut model = Model::new(&bench.work(), &before, umask());
    let change =
        calls.iter().find(|call| model.apply(call) && call.name != "open").map(|call| call.name.clone());
    let is_same = bench.image() == before && before.0.values().any(|node| node.body == Body::Directory);
    change.or_else(|| (!is_same).then(|| "something".to_owned()))
}
