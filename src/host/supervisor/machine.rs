//! What a supervisor does with its etcd, as a state machine that never blocks.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::control::{Request, Run, Status};
use super::dir::ProcessDir;
use super::log::Log;
use crate::files;
use crate::host::command::command;

/// How long a SIGTERM may take before SIGKILL; etcd 3.5 was seen to take 15 s while clients held streams open.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after it failed etcd is started again: systemd's default `RestartSec=`.
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// So many failures within [`BURST_WINDOW`] and it stays down: systemd's default `StartLimitBurst=`.
const BURST: usize = 5;
/// Systemd's default `StartLimitIntervalSec=`.
const BURST_WINDOW: Duration = Duration::from_secs(10);

enum State {
    Stopped,
    Running(Child),
    Stopping { child: Child, kill_at: Instant, start_again: bool },
    Waiting { until: Instant },
    Failed,
}

/// The supervised etcd, and what is to become of it.
pub(super) struct Machine {
    dir: ProcessDir,
    log: Log,
    state: State,
    quitting: bool,
    starts: u64,
    failures: Vec<Instant>,
    last_exit: Option<String>,
}

impl Machine {
    pub(super) fn new(dir: ProcessDir, log: Log) -> Self {
        let state = State::Stopped;
        Self { dir, log, state, quitting: false, starts: 0, failures: Vec::new(), last_exit: None }
    }

    pub(super) fn is_done(&self) -> bool {
        self.quitting && matches!(self.state, State::Stopped)
    }

    pub(super) fn status(&self) -> Status {
        let (run, pid) = match &self.state {
            State::Stopped => (Run::Stopped, None),
            State::Running(child) => (Run::Running, Some(child.id())),
            State::Stopping { child, .. } => (Run::Stopping, Some(child.id())),
            State::Waiting { .. } => (Run::Waiting, None),
            State::Failed => (Run::Failed, None),
        };
        let supervisor = std::process::id();
        Status { run, pid, supervisor, starts: self.starts, last_exit: self.last_exit.clone() }
    }

    /// Takes an order; what it leads to happens in [`Self::tick`].
    pub(super) fn take(&mut self, request: Request) {
        match request {
            Request::Status => {}
            Request::Start => self.aim(true, false),
            Request::Restart => self.aim(true, true),
            Request::Stop => self.aim(false, true),
            Request::Quit => {
                self.quitting = true;
                self.aim(false, true);
            }
        }
    }

    fn aim(&mut self, up: bool, down_first: bool) {
        let up = up && !self.quitting;
        self.failures.clear();
        self.state = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Running(child) if down_first => {
                signal(&child, Signal::TERM);
                State::Stopping { child, kill_at: Instant::now() + PATIENCE, start_again: up }
            }
            State::Running(child) => State::Running(child),
            State::Stopping { child, kill_at, .. } => State::Stopping { child, kill_at, start_again: up },
            State::Stopped | State::Waiting { .. } | State::Failed if up => self.start(),
            State::Stopped | State::Waiting { .. } | State::Failed => State::Stopped,
        };
    }

    /// Looks at the child and at the clock.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.state = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Running(mut child) => match child.try_wait() {
                Ok(None) | Err(_) => State::Running(child),
                Ok(Some(status)) => self.ended_by_itself(&child, status),
            },
            State::Stopping { mut child, mut kill_at, start_again } => match child.try_wait() {
                Ok(None) | Err(_) => {
                    if now >= kill_at {
                        self.log.line("supervisor: etcd did not stop in time, killing it");
                        signal(&child, Signal::KILL);
                        kill_at = now + PATIENCE;
                    }
                    State::Stopping { child, kill_at, start_again }
                }
                Ok(Some(status)) => {
                    self.note_exit(&child, status);
                    if start_again { self.start() } else { State::Stopped }
                }
            },
            State::Waiting { until } if now >= until => self.start(),
            other => other,
        };
    }

    fn ended_by_itself(&mut self, child: &Child, status: ExitStatus) -> State {
        self.note_exit(child, status);
        if status.success() {
            return State::Stopped;
        }
        self.failed()
    }

    fn failed(&mut self) -> State {
        let now = Instant::now();
        self.failures.retain(|&at| now.duration_since(at) < BURST_WINDOW);
        self.failures.push(now);
        if self.failures.len() >= BURST {
            self.log.line("supervisor: etcd failed too often in a short time, it stays down");
            State::Failed
        } else {
            State::Waiting { until: now + RESTART_DELAY }
        }
    }

    fn note_exit(&mut self, child: &Child, status: ExitStatus) {
        // What etcd may have started goes with it.
        signal(child, Signal::KILL);
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(number)) => format!("signal {number}"),
            (None, None) => "unknown".to_owned(),
        };
        self.log.line(&format!("supervisor: etcd {} ended: {how}", child.id()));
        self.last_exit = Some(how);
    }

    fn start(&mut self) -> State {
        self.starts += 1;
        match self.spawn() {
            Ok(child) => {
                self.log.line(&format!("supervisor: started etcd {}", child.id()));
                State::Running(child)
            }
            Err(what) => {
                self.log.line(&format!("supervisor: cannot start etcd: {what}"));
                self.last_exit = Some(what);
                self.failed()
            }
        }
    }

    fn spawn(&self) -> Result<Child, String> {
        let launch = self.dir.launch(true).map_err(|error| error.to_string())?;
        let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
        let again = writer.try_clone().map_err(|error| error.to_string())?;
        let (program, arguments) = launch.argv.split_first().ok_or("exec is empty")?;
        let mut command = match setpriv() {
            Some(setpriv) => {
                let mut command = command(setpriv);
                command.args(["--pdeathsig", "KILL"]).arg(program);
                command
            }
            None => command(program),
        };
        command.args(arguments).env_clear().envs(&launch.env).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(writer).stderr(again).process_group(0);
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        self.log.drain(reader);
        Ok(child)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let State::Running(child) | State::Stopping { child, .. } = &self.state {
            signal(child, Signal::KILL);
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended a moment ago.
        let _ = kill_process_group(group, signal);
    }
}

/// util-linux's setpriv, which asks the kernel to kill etcd when its supervisor dies; without it, etcd would stay.
fn setpriv() -> Option<&'static Path> {
    ["/usr/bin/setpriv", "/bin/setpriv"]
        .map(Path::new)
        .into_iter()
        .find(|path| files::is_file(path).unwrap_or(false))
}
