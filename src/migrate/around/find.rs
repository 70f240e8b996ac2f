//! The units of a machine that reach etcd.

use std::sync::Arc;
use std::time::Duration;

use crate::host::Service as _;
use crate::inventory::ProxyKind;
use crate::systemd::endpoints::{Known, Uses, uses};
use crate::systemd::{Definition, SystemdService, layers};

use super::super::error::MigrateError;
use super::place::{Place, trouble};
use super::stance::Kind;
use super::station::Station;

const PATIENCE: Duration = Duration::from_secs(30);

/// The loaded services one of whose files speaks of etcd, a name a line.
const SCRIPT: &str = r#"
export LC_ALL=C
told() {
    for file in $files; do
        if [ -f "$file" ] && grep -qsi -e etcd -e flannel -e fleet -e ':2379' -e ':4001' -- "$file"; then
            echo "$id"
            return
        fi
    done
}
id= files=
systemctl show --no-pager -p Id,FragmentPath,DropInPaths,EnvironmentFiles '*.service' | {
    while IFS= read -r line; do
        case $line in
            '') told; id= files= ;;
            Id=*) id=${line#*=} ;;
            FragmentPath=*|DropInPaths=*) files="$files ${line#*=}" ;;
            EnvironmentFiles=*) line=${line#*=}; files="$files ${line% (ignore_errors=*}" ;;
        esac
    done
    told
}
exit 0
"#;

/// Every station on a machine; those that cannot be understood are an error only if the inventory names them.
pub(super) fn stations<'a>(place: &'a Place, known: &Known) -> Result<Vec<Station<'a>>, MigrateError> {
    let output = place.host.run(&["sh", "-c", SCRIPT, "sh"], PATIENCE)?;
    let named = place.proxy.as_ref().and_then(|proxy| proxy.unit.as_deref());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut units: Vec<&str> =
        text.lines().filter(|unit| Some(*unit) != place.member_unit.as_deref()).collect();
    units.extend(named.filter(|named| !units.contains(named)));
    let mut found = Vec::new();
    for unit in units {
        let service = match SystemdService::find(Arc::clone(&place.host), Some(unit)) {
            Ok(service) => service,
            Err(error) if Some(unit) == named => return Err(error.into()),
            Err(_) => continue,
        };
        let Ok(current) = service.definition() else { continue };
        let base = current.without_ours();
        let Some(kind) = kind(&base, known) else { continue };
        let Ok(uses) = uses(&base, known) else { continue };
        found.push(Station { place, service, base, kind, uses, new: false });
    }
    for (proxy, kind) in [(ProxyKind::V2, Kind::V2Proxy), (ProxyKind::Grpc, Kind::GrpcProxy)] {
        let wanted = place.proxy.as_ref().is_some_and(|named| named.kind == proxy);
        if !wanted || found.iter().any(|station| station.kind == kind) {
            continue;
        }
        // A v2 proxy can be made of the unit that is there and does nothing yet.
        let idle =
            SystemdService::find(Arc::clone(&place.host), named).ok().filter(|_| kind == Kind::V2Proxy);
        let free = |service: &SystemdService| {
            let ours = service.definition().is_ok_and(|unit| unit.fragments != unit.without_ours().fragments);
            ours || service.running().is_ok_and(|process| process.is_none())
        };
        if let Some(service) = idle.filter(free) {
            let base = service.definition()?.without_ours();
            found.push(Station { place, service, base, kind, uses: Uses::default(), new: true });
        } else {
            let what = format!("the inventory names {} there, and no unit runs one", kind.describe());
            return Err(trouble(place, named.unwrap_or("etcd.service"), what));
        }
    }
    Ok(found)
}

fn kind(unit: &Definition, known: &Known) -> Option<Kind> {
    let command = unit.command().ok();
    let argv = command.as_ref().map_or(&[][..], |command| &command.argv);
    if argv.iter().any(|word| word == "grpc-proxy") {
        return Some(Kind::GrpcProxy);
    }
    if let Ok(config) = layers::config(unit) {
        // Another member is nobody's client.
        return config.get("proxy").filter(|mode| matches!(*mode, "on" | "readonly")).map(|_| Kind::V2Proxy);
    }
    let uses = uses(unit, known).ok()?;
    match unit.unit.as_str() {
        name if name.starts_with("flannel") => Some(Kind::Flannel),
        name if name.starts_with("fleet") => Some(Kind::Fleet),
        // One that is told where to go, and not to a member (to a proxy, say), stays there.
        _ if !uses.etcdctl.is_empty() && (names(&uses) || !told(unit, &uses)) => Some(Kind::Etcdctl),
        _ if !uses.etcdctl.is_empty() => None,
        _ if !uses.is_empty() => Some(Kind::Other),
        _ => None,
    }
}

/// Whether an endpoint of a member's is named.
fn names(uses: &Uses) -> bool {
    !uses.variables.is_empty() || !uses.commands.is_empty()
}

/// Whether calls of `etcdctl` are told their endpoints.
fn told(unit: &Definition, uses: &Uses) -> bool {
    const VARIABLES: [&str; 3] = ["ETCDCTL_ENDPOINTS", "ETCDCTL_ENDPOINT", "ETCDCTL_PEERS"];
    let environment = unit.environment().unwrap_or_default();
    uses.etcdctl_flags || VARIABLES.iter().any(|name| environment.contains_key(*name))
}
