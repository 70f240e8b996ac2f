//! What `systemctl show` says of a unit.

/// The properties that are asked for.
pub(super) const PROPERTIES: &str =
    "Id,Names,LoadState,ActiveState,SubState,Result,FragmentPath,MainPID,InvocationID,ControlGroup";

/// A unit as systemd has it loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    load_state: String,
    active_state: String,
    sub_state: String,
    result: String,
    pub(super) fragment_path: Option<String>,
    pub(super) main_pid: u32,
    pub(super) invocation_id: String,
    pub(super) control_group: String,
}

impl Shown {
    pub(super) fn parse(text: &str) -> Self {
        let mut shown = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = value.to_owned();
            match key {
                "Id" => shown.id = value,
                "Names" => shown.names = value.split_ascii_whitespace().map(str::to_owned).collect(),
                "LoadState" => shown.load_state = value,
                "ActiveState" => shown.active_state = value,
                "SubState" => shown.sub_state = value,
                "Result" => shown.result = value,
                "FragmentPath" => shown.fragment_path = Some(value).filter(|path| !path.is_empty()),
                "MainPID" => shown.main_pid = value.parse().unwrap_or(0),
                "InvocationID" => shown.invocation_id = value,
                "ControlGroup" => shown.control_group = value,
                _ => {}
            }
        }
        // Its own name first: what is its own wins over what is an alias's.
        shown.names.sort_by_key(|name| *name != shown.id);
        shown
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.load_state == "loaded"
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "activating" | "reloading")
    }

    /// That it will not start by itself, in words.
    pub(super) fn failure(&self) -> Option<String> {
        (self.active_state == "failed").then(|| format!("it failed to start ({})", self.result))
    }

    /// What it is at, in systemd's words.
    pub(super) fn doing(&self) -> String {
        format!("{} ({})", self.active_state, self.sub_state)
    }

    pub(super) fn has_processes(&self) -> bool {
        self.main_pid != 0 || (!self.control_group.is_empty() && self.active_state != "inactive")
    }
}

/// The unit's name with its kind.
pub(super) fn unit_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}

/// The file names that a unit may stand under: its own, and its template's.
pub(super) fn file_names(unit: &str) -> Vec<String> {
    let mut names = vec![unit.to_owned()];
    if let Some((stem, kind)) = unit.rsplit_once('.')
        && let Some((prefix, instance)) = stem.split_once('@')
        && !instance.is_empty()
    {
        names.push(format!("{prefix}@.{kind}"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_read_as_systemctl_shows_it() {
        let text = "MainPID=421\nId=etcd.service\nNames=etcd2.service etcd.service\nLoadState=loaded\n\
                    ActiveState=active\nFragmentPath=/lib/systemd/system/etcd.service\n\
                    ControlGroup=/system.slice/etcd.service\nInvocationID=abc\n";
        let shown = Shown::parse(text);
        assert!(shown.is_loaded() && shown.is_active() && shown.has_processes());
        assert_eq!(shown.names, ["etcd.service", "etcd2.service"]);
        assert_eq!((shown.main_pid, shown.invocation_id.as_str()), (421, "abc"));
        let missing = Shown::parse("Id=x.service\nLoadState=not-found\nActiveState=inactive\nMainPID=0\n");
        assert!(!missing.is_loaded() && !missing.is_active() && !missing.has_processes());
    }

    #[test]
    fn an_instance_also_stands_under_its_template() {
        assert_eq!(file_names("etcd@a.service"), ["etcd@a.service", "etcd@.service"]);
        assert_eq!(file_names("etcd.service"), ["etcd.service"]);
        assert_eq!(unit_name("etcd"), "etcd.service");
    }
}
