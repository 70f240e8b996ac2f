//! Many faults in one lab: the cluster goes there and back, and wherever a fault has yet to be seen, it strikes. What
//! stopped is healed and begun again, so that one pass carries many cells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use etcd_pki::etcd::client::{Client, Endpoint};
use etcd_pki::etcd::{MemberUrl, Scheme};
use etcd_pki::rehearse::Figures;
use etcd_pki::rehearse::load::{Load, Speak};

use super::moments::{At, Cell, Row, Way, table};
use crate::lab_support::faults::{Course, Hosts, root_on};
use crate::lab_support::run::{End, Run, Told, number};
use crate::lab_support::{Entry, Lab, SLOW, differences, finish, start_every};
use crate::rows::row;

/// How often a run may stop although nothing is wrong any more: hosts boot, members catch up.
const TRIES: usize = 6;

/// Seconds that a gate is waited for when a fault stands, and when it passes. A leader that stops while it cannot reach
/// another member takes seven, and on two cores with two labs a member that starts may take more than ten.
const SHORT: &str = "20";
const LONG: &str = "60";

pub(super) type Trees = Vec<BTreeMap<PathBuf, Entry>>;

pub(super) fn trees(lab: &Lab) -> Trees {
    (1..=lab.hosts).map(|host| lab.tree(host)).collect()
}

/// Whether the way was gone to its end.
pub(super) fn assert_end(lab: &Lab, before: &Trees, way: Way, name: &str) {
    match way {
        Way::There => drop(lab.done(&["migrate", "status"])),
        Way::Back => {
            for (host, before) in (1..=lab.hosts).zip(before) {
                let left = differences(before, &lab.tree(host));
                assert!(left.is_empty(), "{name}: server{host} is not as it was: {left:?}");
            }
        }
    }
}

/// Nothing that was acknowledged is lost or was not told. Writes that no member answered in fifteen seconds are counted and
/// shown: on a machine that is busy with other work there are some.
pub(super) fn assert_served(figures: &Figures) {
    assert_eq!((figures.lost, figures.missed), (0, 0), "{figures:?}");
}

/// A campaign in one lab.
pub(super) struct Campaign<'a> {
    lab: &'a Lab,
    before: Trees,
    open: Vec<Cell>,
    rows: Vec<Row>,
    load: Option<Load>,
    /// The longest gap of all, in milliseconds.
    longest: u64,
    /// What was not as it should be: the other cells are seen all the same.
    wrong: Vec<String>,
    /// Words that every run is given besides.
    words: &'a [&'a str],
}

/// What became of a run that a fault has struck.
enum Struck {
    /// It goes on, and the fault is healed.
    Passed(Run),
    Ended(End),
}

/// Where the members stand, as runs tell.
#[derive(Default)]
struct Stages(BTreeMap<String, String>);

impl Stages {
    fn note(&mut self, told: &Told) {
        self.0.extend(told.stages.iter().cloned());
        if told.event == "step" && told.state == "done" {
            self.0.insert(told.member.clone(), told.stage.clone());
        }
    }

    /// How many of the others have been where the step leads.
    fn turn(&self, way: Way, told: &Told) -> usize {
        let rank =
            |stage: &str| ["plain", "loopback", "certs", "tls", "sealed"].iter().position(|s| *s == stage);
        let goal = rank(&told.stage);
        let been = |(member, stage): &(&String, &String)| {
            **member != told.member
                && match way {
                    Way::There => rank(stage) >= goal,
                    Way::Back => rank(stage).is_some() && rank(stage) <= goal,
                }
        };
        self.0.iter().filter(been).count()
    }
}

impl<'a> Campaign<'a> {
    pub(super) fn new(lab: &'a Lab, cells: Vec<Cell>, words: &'a [&'a str]) -> Self {
        Self {
            lab,
            before: trees(lab),
            open: cells,
            rows: Vec::new(),
            load: None,
            longest: 0,
            wrong: Vec::new(),
            words,
        }
    }

    /// Goes there and back until every cell was seen; prints what was seen, and records it under a name.
    pub(super) fn run(mut self, name: Option<&str>) {
        // A pass takes at least one cell of each member's step.
        let most = self.open.len() + 2;
        let mut all = Figures::default();
        for pass in 1..=most {
            if self.open.is_empty() {
                break;
            }
            let left = self.open.len();
            self.load = Some(start_every(self.lab, SLOW));
            let tls = self.lab.client_tls();
            self.load().move_to(Speak::Both, Some(tls)).unwrap();
            for way in [Way::There, Way::Back] {
                self.pass(way, pass % 2 == 0);
            }
            let figures = finish(self.lab, self.load.take().expect("it was begun"), Scheme::Http);
            println!(
                "=== pass {pass}: {} cells, {} left; {figures:?}",
                left - self.open.len(),
                self.open.len()
            );
            assert_served(&figures);
            all.writes += figures.writes;
            all.failed += figures.failed;
            self.longest = self.longest.max(figures.longest_gap_ms);
            // What the next pass writes is not to be found among what this one wrote.
            // That is much at once: etcd may call it timed out, and do it all the same.
            self.lab.on(
                "server1",
                "export ETCDCTL_API=3; for again in 1 2 3 4 5; do etcdctl --endpoints http://127.0.0.1:2379 \
                 --command-timeout 30s del --prefix rehearsal/ >/dev/null && exit; sleep 3; done; exit 1",
            );
        }
        for (fault, at, rolls) in table(&self.rows) {
            println!("{fault}, {at}: {rolls:?}");
            if name.is_some() {
                row("Faults at each planned step", &[fault, at], &rolls);
            }
        }
        if let Some(name) = name {
            let [cells, writes, failed] =
                [self.rows.len() as u64, all.writes, all.failed].map(|n| n.to_string());
            let gap = format!("{} ms", self.longest);
            row("Campaigns of faults", &[name], &[&cells, &writes, &failed, "0", "0", &gap]);
        }
        println!(
            "{} cells; {} writes, {} failed, 0 lost, 0 missed; longest gap {} ms",
            self.rows.len(),
            all.writes,
            all.failed,
            self.longest
        );
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        let left: Vec<_> = self.open.iter().map(Cell::describe).collect();
        assert!(left.is_empty(), "these moments did not come: {left:#?}");
    }

    fn load(&self) -> &Load {
        self.load.as_ref().expect("it runs while faults strike")
    }

    fn lap(&mut self) -> Figures {
        let figures = self.load().lap();
        self.longest = self.longest.max(figures.longest_gap_ms);
        figures
    }

    /// Faults that stand are not waited for long, others are: a pass takes those of one kind, if there are any.
    fn patience(&self, way: Way, long: bool) -> (&'static str, bool) {
        let some = |long: bool| self.open.iter().any(|cell| cell.way == way && passes(cell) == long);
        let long = if some(long) { long } else { !long };
        (if long { LONG } else { SHORT }, long)
    }

    /// One way to its end, with as many faults as meet it.
    fn pass(&mut self, way: Way, long: bool) {
        let mut in_vain = 0;
        let mut stages = Stages::default();
        loop {
            let (seconds, long) = self.patience(way, long);
            let words = self.words(way, seconds);
            let mut run = Run::start(self.lab, &words);
            let (end, struck) = loop {
                let Some(told) = run.told() else { break (run.end(), false) };
                stages.note(&told);
                let Some(cell) = self.take(way, &told, &stages, long) else { continue };
                run.stand();
                match self.strike(cell, run, number(&told.member), &words, &mut stages) {
                    Struck::Passed(still) => run = still,
                    Struck::Ended(end) => break (end, true),
                }
            };
            in_vain = if struck { 0 } else { in_vain + 1 };
            if end.exit != 0 && !struck {
                println!("    again: {end:?}");
                assert!(in_vain < TRIES, "healed, and yet: {end:?}");
                self.start_as_told(&end);
                std::thread::sleep(Duration::from_secs(2));
            }
            if end.exit == 0 {
                // The last fault may have been healed a moment ago.
                if self.settle(&(1..=self.lab.hosts).collect::<Vec<_>>()) {
                    break;
                }
                // A member found its disk full after its step was done, and is down: the next run says who starts it.
                println!("    done, and a member does not serve");
                assert!(in_vain < TRIES, "done again and again, and a member does not serve");
            }
        }
        assert_end(self.lab, &self.before, way, "at the end of a pass");
    }

    /// A member that went down after its step was done is not the tool's to start: its hint says who does.
    fn start_as_told(&self, end: &End) {
        if end.code != "members-down" {
            return;
        }
        assert!(end.hint.starts_with("start it first"), "{end:?}");
        let (down, _) = end.message.split_once(" is down").unwrap_or_else(|| panic!("one of them: {end:?}"));
        root_on(self.lab, number(down), "systemctl start --no-block etcd");
    }

    fn words(&self, way: Way, seconds: &'static str) -> Vec<&'a str> {
        let words = [
            "migrate",
            way.command(),
            "--yes",
            "--cut-plaintext",
            "--no-snapshot",
            "--step-timeout",
            seconds,
        ];
        [&words[..], self.words].concat()
    }

    /// The cell that strikes at an event, if one is left that does.
    fn take(&mut self, way: Way, told: &Told, stages: &Stages, long: bool) -> Option<Cell> {
        let at = At::of(told)?;
        let turn = stages.turn(way, told);
        let here = |cell: &Cell| {
            (cell.way, cell.stage, cell.at, cell.turn) == (way, told.stage.as_str(), at, turn)
                && passes(cell) == long
        };
        let i = self.open.iter().position(here)?;
        Some(self.open.remove(i))
    }

    /// Strikes, and follows the run to its end, or as far as the fault can be seen.
    fn strike(&mut self, cell: Cell, mut run: Run, own: u8, words: &[&str], stages: &mut Stages) -> Struck {
        let name = cell.describe();
        println!("--- {name}, server{own}");
        let lab = self.lab;
        let hosts = Hosts::of(lab, own);
        let (failed, since) = (self.lap().failed, Instant::now());
        if cell.fault.course == Course::Given {
            run.kill();
            (cell.fault.strike)(lab, hosts);
            run = Run::start(lab, words);
        } else {
            (cell.fault.strike)(lab, hosts);
            run.go_on();
        }
        // A fault that must be seen is seen at the latest when the next member comes back.
        let mut steps = if cell.must_be_seen() { 2 } else { 1 };
        let (mut passed, mut seen) = (false, !cell.must_be_seen());
        while let Some(told) = run.told() {
            stages.note(&told);
            if told.event == "step" && told.state == "done" {
                steps -= 1;
                seen |= cell.is_mended(number(&told.member), hosts);
                if steps == 0 {
                    passed = true;
                    run.stand();
                    break;
                }
            }
        }
        let seconds = since.elapsed().as_secs();
        let struck = if passed {
            if !seen {
                self.wrong.push(format!("{name}: it was not seen"));
            }
            (cell.fault.heal)(lab, hosts);
            self.settle(&[hosts.others.0, hosts.others.1]);
            run.go_on();
            Struck::Passed(run)
        } else {
            let end = run.end();
            println!("    {seconds} s: {end:?}");
            (cell.fault.heal)(lab, hosts);
            self.wrong.extend(Self::judge(&cell, &end));
            self.settle(&[hosts.others.0, hosts.others.1]);
            Struck::Ended(end)
        };
        let figures = self.lap();
        let what = match &struck {
            Struck::Ended(end) if end.exit != 0 => format!("`{}`", end.code),
            _ => "went on".to_owned(),
        };
        let mut outcome = format!("{what}, {} ms", figures.longest_gap_ms);
        if figures.failed > failed {
            outcome.push_str(&format!(", {} failed", figures.failed - failed));
        }
        println!("    {outcome}; {} s in all", since.elapsed().as_secs());
        self.rows.push(Row { cell, outcome });
        struck
    }

    /// What happened is said in words that fit, with something to do; the exit code says whether something was changed.
    /// Returns what is wrong with that.
    fn judge(cell: &Cell, end: &End) -> Option<String> {
        // The last step of the way: nothing came after it that could have seen more.
        if end.exit == 0 {
            return None;
        }
        let known =
            cell.fault.stops.iter().any(|(code, words)| *code == end.code && end.message.contains(words));
        let exit = if end.changed { 3 } else { 1 };
        let right = known && end.exit == exit && end.hint.len() > 10;
        (!right).then(|| format!("{}: {end:?}", cell.describe()))
    }

    /// Gives members a moment to find each other again after a fault was healed. The one whose turn it is is the tool's affair.
    /// Returns whether all of them serve.
    fn settle(&self, hosts: &[u8]) -> bool {
        const PATIENCE: Duration = Duration::from_secs(20);
        let tls = self.lab.client_tls();
        let takes = |host: u8| {
            let at = |scheme, port: u16| {
                let url = MemberUrl::new(
                    scheme,
                    std::net::SocketAddr::new(self.lab.address(host).into(), port).into(),
                );
                let tls = (scheme == Scheme::Https).then(|| tls.clone());
                let timeout = Duration::from_secs(1);
                Client::new(Endpoint { timeout, ..Endpoint::direct(url, tls) }).commit_probe().is_ok()
            };
            at(Scheme::Http, 2379) || at(Scheme::Https, 2379)
        };
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if hosts.iter().all(|host| takes(*host)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }
}

/// Whether it is waited for.
fn passes(cell: &Cell) -> bool {
    cell.fault.course == Course::Passes
}
