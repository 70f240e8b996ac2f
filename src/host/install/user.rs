//! Who etcd runs as on a host.

use std::time::Duration;

use crate::host::Host;

/// The units that run etcd, the likeliest first: Debian and most others, CoreOS, Container Linux and Flatcar.
const UNITS: [&str; 3] = ["etcd.service", "etcd2.service", "etcd-member.service"];

/// The user that etcd runs as on `host`: the `User=` of its unit (this one, or those that are known), `etcd` where there
/// is no unit to ask.
pub fn unit_user(host: &dyn Host, unit: Option<&str>) -> String {
    let mut argv = vec!["systemctl", "show", "--property=LoadState", "--property=User", "--"];
    match unit {
        Some(unit) => argv.push(unit),
        None => argv.extend(UNITS),
    }
    let shown = host.run(&argv, Duration::from_secs(10)).ok().filter(|output| output.status == Some(0));
    shown
        .and_then(|output| first_unit_user(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or_else(|| "etcd".to_owned())
}

/// The user of the first unit that is loaded; a unit without `User=` runs as root.
fn first_unit_user(shown: &str) -> Option<String> {
    let unit = shown.split("\n\n").find(|unit| unit.lines().any(|line| line == "LoadState=loaded"))?;
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).unwrap_or_default();
    Some(if user.is_empty() { "root" } else { user }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_the_first_loaded_unit() {
        let debian =
            "User=\nLoadState=not-found\n\nUser=etcd\nLoadState=loaded\n\nUser=x\nLoadState=loaded\n";
        assert_eq!(first_unit_user(debian).as_deref(), Some("etcd"));
        assert_eq!(first_unit_user("LoadState=loaded\nUser=\n").as_deref(), Some("root"));
        assert_eq!(first_unit_user("LoadState=loaded\n").as_deref(), Some("root"));
        assert_eq!(first_unit_user("LoadState=not-found\nUser=\n"), None);
        assert_eq!(first_unit_user(""), None);
    }
}
