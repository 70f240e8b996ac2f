//! No pitfall without its proof: what a real etcd has done here, in this run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use etcd_pki::verify::explain::explain;
use etcd_pki::verify::{Code, catalogue};

use super::verify_support::{newest_is_here, on_each_etcd};

thread_local! {
    static SHOWN: RefCell<BTreeSet<Code>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that a real etcd, or a client of it, has shown a pitfall.
pub fn is_shown(code: Code) {
    SHOWN.with_borrow_mut(|shown| shown.insert(code));
}

/// What a play shows; each is played once, by whoever wants to know first.
pub type Play = LazyLock<BTreeSet<Code>>;

/// Plays with each etcd; what was shown.
pub fn played(act: fn()) -> BTreeSet<Code> {
    SHOWN.take();
    on_each_etcd(act);
    SHOWN.take()
}

/// Each play is a test of its own.
macro_rules! plays {
    ($($room:ident { $($name:ident,)* })*) => {
        $(pub mod $room {
            $(pub mod $name {
                use crate::catalogue::{Play, played};

                pub static SHOWN_BY: Play = Play::new(|| played(crate::$room::$name));

                #[test]
                fn as_predicted() {
                    Play::force(&SHOWN_BY);
                }
            })*
        })*

        const PLAYS: &[&Play] = &[$($(&$room::$name::SHOWN_BY,)*)*];
    };
}

plays! {
    matrix {
        an_unusable_pair_stops_etcd,
        a_server_is_judged_by_a_go_client,
        a_peer_is_judged_by_the_member_that_dials_it,
        a_client_and_a_peer_are_judged_by_the_server,
        a_peer_from_an_address_that_its_certificate_lacks,
        the_gateway_is_refused_with_a_server_certificate_that_is_no_clients,
        an_empty_ca_file_lets_etcd_start_and_refuses_everyone,
        revocation_lists_on_both_ports,
    }
    scenes {
        what_a_strict_server_logs_about_its_clients,
        what_options_that_contradict_each_other_do,
        names_that_are_allowed,
        what_garbled_and_missing_revocation_lists_do,
        what_stops_etcd_at_its_start,
        a_key_that_etcd_may_not_read,
        plain_listeners_and_what_their_clients_say,
        an_address_that_nobody_can_dial_is_advertised_in_silence,
        etcdctl_with_the_other_apis_options,
        a_grpc_proxy_refuses_a_common_name,
        a_common_name_is_a_user,
        a_member_whose_files_and_process_disagree,
        what_is_no_failure_of_certificates,
        suites_that_do_not_fit_the_key,
        a_port_check_and_a_path_that_is_not_served,
    }
    revocation {
        a_grpc_only_port_checks_no_list,
        a_close_without_an_alert,
    }
    settings {
        a_setting_in_the_environment_has_the_last_word,
        members_are_judged_by_the_settings_that_they_run_with,
    }
}

/// Pitfalls of newer releases of Go than the etcd in PATH has; shown where `tests/etcd-versions.sh` has fetched one.
const NEEDS_NEWER_GO: &[(Code, &str)] = &[
    (Code::RsaTooLarge, "refused from Go 1.21 on"),
    (Code::NegativeSerial, "refused from Go 1.23 on"),
    (Code::CertificatePolicies, "judged from Go 1.24 on"),
    (Code::CrlNotChecked, "--listen-client-http-urls came with 3.4.25 and 3.5.8"),
];

/// What systemd prints, not etcd; `fixtures/explain` has its words.
const SHOWN_BY_SYSTEMD: &[Code] = &[Code::UnitCannotStart];

#[test]
fn every_pitfall_is_shown_by_a_real_etcd() {
    if super::go().is_none() {
        return;
    }
    let shown: BTreeSet<Code> = PLAYS.iter().flat_map(|play| Play::force(play).iter().copied()).collect();
    let mut excused: BTreeSet<Code> = SHOWN_BY_SYSTEMD.iter().copied().collect();
    if !newest_is_here() {
        println!("no newer etcd is here: {NEEDS_NEWER_GO:?} are taken on trust");
        excused.extend(NEEDS_NEWER_GO.iter().map(|(code, _)| *code));
    }
    let all = catalogue().map(|pitfall| pitfall.code);
    let missing: Vec<_> = all.filter(|code| !shown.contains(code) && !excused.contains(code)).collect();
    assert!(missing.is_empty(), "pitfalls that no etcd has shown: {missing:?}");
}

/// The first cause of a text must be this one.
pub fn leads_to(text: &str, code: Code) {
    let causes = explain(text);
    let codes: Vec<_> = causes.iter().map(|cause| cause.pitfall.code).collect();
    assert_eq!(codes.first(), Some(&code), "{codes:?} of\n{text}");
    is_shown(code);
}

/// This one must be among the causes.
pub fn may_be(text: &str, code: Code) {
    let causes = explain(text);
    assert!(causes.iter().any(|cause| cause.pitfall.code == code), "not {code} of\n{text}");
    is_shown(code);
}

/// Pitfalls that etcd's words do not tell apart: any of a row may come first.
const ALIKE: &[&[Code]] = &[
    &[Code::UnknownAuthority, Code::MissingIntermediate, Code::EmptyCaFile, Code::ClientAuthWithoutCa],
    &[Code::Expired, Code::CaExpired],
    &[Code::NotYetValid, Code::CaNotYetValid],
    &[Code::MissingClientAuth, Code::MissingServerAuth, Code::GatewayClientAuth],
    &[Code::WrongSan, Code::IpAsDnsSan, Code::PeerSourceAddress],
    &[Code::WrongSan, Code::IpAsDnsSan, Code::NoLoopbackSan],
    &[Code::NoIpSan, Code::IpAsDnsSan],
    &[Code::KeyUnusable, Code::KeyEncrypted],
    &[Code::KeyMismatch, Code::LeafNotFirst],
    &[Code::MalformedCertificate, Code::CaFileJunk, Code::NotACertificate],
];

/// It must be among the causes, and nothing may come before it but what etcd says in the same words.
pub fn is_named(text: &str, code: Code) {
    let codes: Vec<_> = explain(text).iter().map(|cause| cause.pitfall.code).collect();
    let first = codes.first().copied();
    let alike = |row: &&&[Code]| row.contains(&code) && first.is_some_and(|first| row.contains(&first));
    let right = first == Some(code) || (codes.contains(&code) && ALIKE.iter().any(|row| alike(&row)));
    assert!(right, "{code}, but {codes:?} of\n{text}");
    is_shown(code);
}
