//! What a stance takes on the disk of a station's machine.

use crate::etcd::ports;
use crate::files::{FileMode, Meta};
use crate::host::{Layer, LayerFile, Service as _};
use crate::inventory::pair_files::CA_FILE;
use crate::systemd::drop_ins;
use crate::systemd::endpoints::{Target, render};
use crate::systemd::unit::Fragment;

use super::super::error::MigrateError;
use super::place::{Surroundings, trouble};
use super::plan::Plan;
use super::proxy;
use super::stance::{Kind, Stance};
use super::station::Station;
use super::ways::Ways;

impl Station<'_> {
    /// What a stance takes there.
    pub(super) fn plan(
        &self,
        around: &Surroundings,
        ways: &Ways,
        stance: Stance,
    ) -> Result<Plan, MigrateError> {
        let wrong = |what: String| trouble(self.place, self.unit(), what);
        let mut plan = Plan { files: Vec::new(), certificates: Vec::new() };
        let on_member = self.place.member_unit.is_some();
        let secure = match stance {
            Stance::AsWas => false,
            Stance::Loopback => self.kind.is_proxy(),
            Stance::Https => self.kind.is_proxy() || on_member,
        };
        if secure && self.kind == Kind::Other {
            return Err(wrong(
                "how it takes a certificate is not known: move it to https by hand".to_owned(),
            ));
        }
        if secure {
            let name = self.pair_name();
            let pair = around.pairs.get(name).ok_or_else(|| MigrateError::NoPair {
                member: name.to_owned(),
                what: format!("{} of {} has no pair in the PKI directory", self.unit(), self.place.name),
            })?;
            let [key, cert] = self.certificates_at();
            plan.certificates = vec![
                (key, pair.key_pem.to_vec(), FileMode::SECRET),
                (cert, pair.cert_pem.clone(), FileMode::PUBLIC),
                (self.place.ssl_dir.join(CA_FILE), pair.ca_pem.clone(), FileMode::PUBLIC),
            ];
        }
        if stance == Stance::AsWas {
            return Ok(plan);
        }
        if self.kind == Kind::V2Proxy {
            let mut settings = proxy::settings(&self.place.ssl_dir, self.pair_name(), !on_member);
            if self.new {
                settings.insert("proxy".to_owned(), "on".to_owned());
                settings.insert("initial-cluster".to_owned(), ways.cluster.clone());
            }
            plan.files = self.service.layer_files(&[Layer { name: drop_ins::CERTIFICATES, settings }])?;
            if self.new && !self.is_enabled()? {
                let content = "Written by etcd-pki: `systemctl enable` was its doing.\n".to_owned();
                plan.files.push(LayerFile { path: self.mark(), content, meta: Meta::mode(FileMode::PUBLIC) });
            }
            return Ok(plan);
        }
        let target = self.target(ways, secure);
        let files = render(&self.base, &self.uses, &ways.known(self.place), &target);
        let file = |fragment: Fragment| LayerFile {
            path: fragment.path.into(),
            content: fragment.text,
            meta: Meta::mode(FileMode::PUBLIC),
        };
        if let Some((dropin, beside)) = files.map_err(|error| wrong(error.to_string()))? {
            plan.files.extend(beside.map(file));
            plan.files.push(file(dropin));
        }
        Ok(plan)
    }

    fn target(&self, ways: &Ways, secure: bool) -> Target {
        let [key, cert] = self.certificates_at().map(|path| path.display().to_string());
        let ca = self.place.ssl_dir.join(CA_FILE).display().to_string();
        let urls = match self.place.member_unit {
            // A proxy reaches every member, whichever port its https is on.
            _ if self.kind.is_proxy() => [ways.https.as_slice(), &ways.meanwhile].concat().join(","),
            Some(_) if secure => {
                let local = ways.local.get(&self.place.name);
                local.into_iter().chain(&ways.https).cloned().collect::<Vec<_>>().join(",")
            }
            Some(_) => format!("http://127.0.0.1:{}", ports::LEGACY),
            // Where a proxy is and no member, the proxy is the way.
            None => "http://127.0.0.1:2379".to_owned(),
        };
        let on_member = self.place.member_unit.is_some();
        let environment = self.base.environment().unwrap_or_default();
        let v2 = environment.get("ETCDCTL_API").map_or(ways.v2, |api| api == "2");
        let mut target = Target { urls: urls.clone(), ..Target::default() };
        let mut set = |pairs: &[(&str, &str)]| {
            target
                .variables
                .extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        };
        match (self.kind, secure) {
            (Kind::GrpcProxy, _) => {
                target.flags =
                    vec![format!("--cacert={ca}"), format!("--cert={cert}"), format!("--key={key}")];
            }
            (Kind::Flannel, true) => set(&[
                ("FLANNELD_ETCD_ENDPOINTS", &urls),
                ("FLANNELD_ETCD_CAFILE", &ca),
                ("FLANNELD_ETCD_CERTFILE", &cert),
                ("FLANNELD_ETCD_KEYFILE", &key),
            ]),
            (Kind::Fleet, true) => set(&[
                ("FLEET_ETCD_SERVERS", &urls),
                ("FLEET_ETCD_CAFILE", &ca),
                ("FLEET_ETCD_CERTFILE", &cert),
                ("FLEET_ETCD_KEYFILE", &key),
            ]),
            (Kind::Etcdctl, _) => {
                target.no_sync = v2;
                // A flag and its variable together are fatal; a proxy is where etcdctl looks by itself.
                if !self.uses.etcdctl_flags && on_member {
                    set(&[("ETCDCTL_ENDPOINTS", &urls)]);
                }
                if secure && v2 {
                    set(&[
                        ("ETCDCTL_CA_FILE", &ca),
                        ("ETCDCTL_CERT_FILE", &cert),
                        ("ETCDCTL_KEY_FILE", &key),
                    ]);
                } else if secure {
                    set(&[("ETCDCTL_CACERT", &ca), ("ETCDCTL_CERT", &cert), ("ETCDCTL_KEY", &key)]);
                }
            }
            _ => {}
        }
        target
    }
}
