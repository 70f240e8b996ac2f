//! What etcd, etcdctl and etcd's gateway print, 2 to 3.7, by capnslog and by zap.

use super::{Entry, When};
use crate::verify::Code::*;

pub(super) const MEMBERS: &[Entry] = &[
    Entry::reason(
        &[PeerSourceAddress, WildcardSan],
        &["does not match any of DNSNames", "tls: \"…\" does not match any of DNSNames ["],
    ),
    Entry::reason(&[PeerSourceAddress, WildcardSan], &["tls: \"…\" does not match any of DNSNames [\"*."]),
    Entry::reason(&[WildcardSan, PeerSourceAddress], &["does not match any of DNSNames [*."]),
    // etcd dials its own client port with the server's certificate.
    Entry::alert(
        &[GatewayClientAuth, MissingClientAuth],
        &[
            "createTransport failed to connect to {127.0.0.1:…remote error: tls: bad certificate",
            "createTransport failed to connect to {Addr: \"127.0.0.1:…remote error: tls: bad certificate",
            "\"caller\":\"zapgrpc…createTransport failed to connect to {…remote error: tls: bad certificate",
            "\"code\":14",
            "\"code\":14, \"message\":\"connection error: desc = …remote error: tls: bad certificate",
            "\"error\":\"connection error: desc = \"transport: authentication handshake failed: remote error: tls: bad certificate",
        ],
    ),
    Entry::alert(
        &[MissingClientAuth, GatewayClientAuth, NoClientCertificate, UnknownAuthority],
        &["transport: authentication handshake failed: remote error: tls: bad certificate"],
    ),
    Entry::reason(
        &[AllowedName],
        &[
            "client certificate authentication failed",
            "CommonName authentication failed",
            "AllowedCN and AllowedHostname are mutually exclusive",
            "AllowedCNs and AllowedHostnames are mutually exclusive",
            "are mutually exclusive (cn=",
        ],
    ),
    // How 3.4 and 3.3 end over cipher suites that HTTP/2 does not accept, without a word about them.
    Entry::summary(
        &[NoCommonCipher],
        &["embed.(*serveCtx).serve(0x", "C | etcdmain: accept tcp …: use of closed network connection"],
    ),
    Entry::reason(&[ProxyCommonName], &["cert has non empty Common Name (…)", "has non empty Common Name"]),
    Entry::reason(
        &[CommonNameUser],
        &[
            "etcdserver: permission denied",
            "etcdserver: user name is empty",
            "etcdserver: user name not found",
            "auth: user not found",
            "auth: user name is empty",
            "auth: permission denied",
        ],
    ),
    Entry::reason(
        &[Revoked],
        &["transport: certificate serial … revoked", "certificate serial number is revoked"],
    ),
    Entry::reason(
        &[BrokenCrl],
        &[
            "open …: no such file or directory",
            "asn1: structure error: …",
            "x509: malformed crl",
            "rejected connection from \"…\" (error \"open …: no such file or directory\"",
            "rejected connection from \"…\" (error \"asn1: structure error: …",
            "rejected connection from \"…\" (error \"x509: malformed crl",
        ],
    )
    .when(When::Inbound),
    Entry::reason(
        &[BrokenCrl],
        &["asn1: structure error: tags don't match … CertificateList", "x509: malformed crl"],
    ),
    Entry::reason(
        &[OtherCluster],
        &[
            "cluster ID mismatch",
            "clusterID mismatch",
            "request cluster ID mismatch",
            "request sent was ignored (cluster ID mismatch",
            "streamReader detected cluster ID mismatch",
            "the member has been permanently removed from the cluster",
            "member … has already been bootstrapped",
            "member count is unequal",
            "error validating peerURLs",
            "unmatched member while checking PeerURLs",
            "couldn't find local name \"…\" in the initial cluster configuration",
            "has different advertised URLs in the cluster and advertised peer URLs list",
            "--initial-cluster has … but missing from --initial-advertise-peer-urls",
            "--initial-advertise-peer-urls has … but missing from --initial-cluster",
            "failed to resolve … to match --initial-cluster",
            "rejected stream from remote peer because it was removed",
            "rejected the stream from peer … since it was removed",
            "sent message to removed member",
            "conflicting cluster ID",
            "expected cluster ID",
            "etcdserver: peer URL not in cluster",
            "invalid initial cluster",
        ],
    ),
    // A member that restarts says this until it has read the other members from its data.
    Entry::transient(&[OtherCluster], &["failed to find remote peer in cluster"]),
    Entry::transient(
        &[SrvDiscovery, Unreachable],
        &["error querying DNS SRV records", "error resolving DNS SRV"],
    ),
];

pub(super) const OPTIONS: &[Entry] = &[
    Entry::reason(
        &[HttpsWithoutCertificate],
        &[
            "TLS key/cert (--cert-file, --key-file) must be provided for client url … with HTTPS scheme",
            "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url",
            "cannot listen on TLS for …: KeyFile and CertFile are not presented",
            "cannot listen on TLS for",
            "KeyFile and CertFile are not presented",
            "tls: no certificates configured",
        ],
    ),
    Entry::reason(&[HalfAPair], &["KeyFile and CertFile must both be present", "must both be present"]),
    Entry::notice(
        &[HttpWithCertificates],
        &[
            "The scheme of client url … is HTTP while peer key/cert files are presented. Ignored key/cert files.",
            "scheme is HTTP while key and cert files are present; ignoring key and cert files",
            "is HTTP while peer key/cert files are presented",
            "is HTTP while client cert auth (--client-cert-auth) is enabled. Ignored client cert auth for this url.",
            "scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL",
            "scheme is HTTP while peer key and cert files are present",
            "scheme is http or unix while key and cert files are present; ignoring key and cert files",
            "scheme is http or unix while peer key and cert files are present; ignoring peer key and cert files",
            "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL",
            "scheme is http or unix while peer client cert auth is enabled",
        ],
    ),
    Entry::reason(
        &[WildcardAdvertised],
        &[
            "contains undialable hostname",
            "advertising URL … contains undialable hostname \"0.0.0.0\"",
            "advertise-client-urls\":[‥://0.0.0.0:",
            "advertise-peer-urls\":[‥://0.0.0.0:",
            "advertise client URLs = ‥://0.0.0.0:",
            "advertise-client-urls=‥://0.0.0.0:",
            "advertise-client-urls ‥://0.0.0.0:",
            "advertise-peer-urls=‥://0.0.0.0:",
            "advertise-peer-urls ‥://0.0.0.0:",
            "ADVERTISE_CLIENT_URLS=‥://0.0.0.0:",
            "ADVERTISE_PEER_URLS=‥://0.0.0.0:",
            "ClientURLs:[‥://0.0.0.0:",
            "advertise-client-urls: ‥://0.0.0.0:",
            "client-urls\":[\"https://0.0.0.0:…published local member",
        ],
    ),
    Entry::reason(
        &[WrongApiFlags],
        &[
            "Error: unknown flag: --ca-file",
            "unknown flag: --cert-file",
            "unknown flag: --key-file",
            "unknown flag: --endpoint",
            "flag provided but not defined: -cacert",
            "flag provided but not defined: -cert",
            "flag provided but not defined: -key",
            "flag provided but not defined: -insecure-skip-tls-verify",
            "flag provided but not defined: -insecure-transport",
            "flag provided but not defined: -command-timeout",
            "Incorrect Usage. flag provided but not defined",
            "Incorrect Usage: flag provided but not defined",
            "No help topic for",
            "unknown command \"cluster-health\" for \"etcdctl\"",
            "unknown command \"ls\" for \"etcdctl\"",
            "unknown command \"mk",
            "unknown command \"set\" for \"etcdctl\"",
            "unknown command \"backup\" for \"etcdctl\"",
        ],
    ),
    Entry::reason(
        &[OldVariables, UnknownOption],
        &[
            "flag provided but not defined: -ca-file",
            "flag provided but not defined: -peer-ca-file",
            "unrecognized environment variable ETCD_CA_FILE",
            "unrecognized environment variable ETCD_PEER_CA_FILE",
            "\"unrecognized environment variable\",\"environment-variable\":\"ETCD_CA_FILE",
            "\"unrecognized environment variable\",\"environment-variable\":\"ETCD_PEER_CA_FILE",
            "recognized and used environment variable ETCD_CA_FILE",
        ],
    ),
    // Kubernetes sets ETCD_PORT_2379_TCP and the like for each service; they do no harm.
    Entry::transient(&[OldVariables, UnknownOption], &["unrecognized environment variable"]),
    Entry::reason(
        &[UnknownOption],
        &[
            "flag provided but not defined: -…",
            "error verifying flags",
            "error unmarshaling JSON: while decoding JSON: json: unknown field",
            "unknown flag: --…",
            "is not a valid flag",
            "json: unknown field",
            "is not supported: unrecognized feature gate",
            "unrecognized feature gate: …",
            "unknown shorthand flag: …",
        ],
    ),
    Entry::reason(
        &[ConflictingFlags],
        &[
            "conflicting environment variable \"…\" is shadowed by corresponding command-line flag",
            "is shadowed by corresponding command-line flag",
            "conflicting environment variable",
        ],
    ),
];
