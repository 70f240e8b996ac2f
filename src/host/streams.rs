//! Connections of clients that keep a process from stopping.
//!
//! From 3.5 on, etcd waits eight seconds for streams (watches, lease keepalives) when it stops, once for each client port, and
//! may lead meanwhile. Their clients cannot know that they should go elsewhere until the connection ends.

use std::time::Duration;

use super::{Host, HostError};

/// How long the process may take to stop while this is watched: two client ports, and a margin.
const LONGEST_STOP: Duration = Duration::from_secs(20);
/// Between two looks at its sockets. What is under way when a listener closes has one such interval to end.
const INTERVAL: Duration = Duration::from_millis(250);

/// How a process stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// How many connections were closed for it.
    pub closed: usize,
    /// Whether it ended while it was watched.
    pub ended: bool,
}

/// Waits until a process that was asked to stop has ended. Where it does not listen on one of `ports` any more, the connections
/// that are left there are closed (`ss -K`: Linux with `CONFIG_INET_DIAG_DESTROY`, as root; elsewhere they are waited for).
///
/// # Errors
/// [`HostError`] when the host cannot run it.
pub fn close_streams(host: &dyn Host, pid: u32, ports: &[u16]) -> Result<Stopped, HostError> {
    let looks = LONGEST_STOP.as_millis() / INTERVAL.as_millis();
    let words: Vec<String> =
        [pid.to_string(), looks.to_string()].into_iter().chain(ports.iter().map(u16::to_string)).collect();
    let argv: Vec<&str> =
        ["sh", "-c", SCRIPT, "sh"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let output = host.run(&argv, LONGEST_STOP * 2)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_ascii_whitespace();
    let closed = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Ok(Stopped { closed, ended: words.next() == Some("ended") })
}

/// `sh -c SCRIPT sh PID LOOKS PORT…` prints how many connections it closed, and `ended` or `runs`. Only connections of that
/// process are closed, and only on a port where it has stopped listening for two looks.
const SCRIPT: &str = r#"
export LC_ALL=C
pid=$1 looks=$2 closed=0 shut=' '
shift 2
start() { sed -n 's/.*) //p' "/proc/$pid/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }
first=$(start)
while [ -n "$first" ] && [ "$looks" -gt 0 ]; do
    looks=$((looks - 1))
    [ "$(start)" = "$first" ] || break
    listens=$(ss -tlnp | grep -F "pid=$pid," | awk '{ print $4 " " }')
    for port; do
        case $listens in *":$port "*) continue ;; esac
        case $shut in *" $port "*) ;; *) shut="$shut$port "; continue ;; esac
        killed=$(ss -tnp state established "( sport = :$port )" | grep -F "pid=$pid," | awk '{ print $3, $4 }' |
            while read -r local peer; do ss -K -tn src "$local" dst "$peer" | grep -F "$peer"; done | wc -l)
        closed=$((closed + killed))
    done
    sleep 0.25
done
if [ -n "$first" ] && [ "$(start)" = "$first" ]; then echo "$closed runs"; else echo "$closed ended"; fi
"#;
