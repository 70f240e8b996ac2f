//! etcd's and etcdctl's own options.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::CaWithoutClientAuth,
        title: "--trusted-ca-file without --client-cert-auth",
        says: &["tls: client didn't provide a certificate"],
        cause: "From 3.4 on naming a trusted CA is enough: client certificates are demanded all the same, although \
            client-cert-auth = false stands in the log. 3.3 lets everybody in.",
        cure: "Say --client-cert-auth too, or leave --trusted-ca-file out.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::ClientAuthWithoutCa,
        title: "--client-cert-auth without --trusted-ca-file",
        says: &["x509: certificate signed by unknown authority"],
        cause: "Without a CA file the system's roots judge the clients: nobody with a certificate of your own CA is \
            let in.",
        cure: "Give --trusted-ca-file (and --peer-trusted-ca-file).",
        proof: "etcd-pki verify CERT --ca CA --role client",
    },
    Pitfall {
        code: Code::AllowedName,
        title: "the certificate's name is not the allowed one",
        says: &[
            "client certificate authentication failed",
            "CommonName authentication failed",
            "AllowedCN and AllowedHostname are mutually exclusive",
            "AllowedCNs and AllowedHostnames are mutually exclusive",
            "are mutually exclusive (cn=",
        ],
        cause: "--peer-cert-allowed-cn, --peer-cert-allowed-hostname and their client twins let only that name in. Both \
            at once is fatal at start, and --client-cert-allowed-hostname always breaks etcd's own gateway.",
        cure: "Issue certificates with the allowed name, or change the option.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::ProxyCommonName,
        title: "a gRPC proxy's certificate with a common name",
        says: &["cert has non empty Common Name (…)", "has non empty Common Name"],
        cause: "The proxy's own certificate would log all its clients in as the user that the common name names, so \
            the gRPC proxy refuses to start with one.",
        cure: "Issue the proxy's certificate with an empty common name (`--profile proxy`).",
        proof: "etcd-pki verify CERT --ca CA --role proxy",
    },
    Pitfall {
        code: Code::HttpsWithoutCertificate,
        title: "an https URL without a certificate",
        says: &[
            "TLS key/cert (--cert-file, --key-file) must be provided for client url … with HTTPS scheme",
            "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url",
            "cannot listen on TLS for …: KeyFile and CertFile are not presented",
            "cannot listen on TLS for",
        ],
        cause: "A listen URL says https, but no --cert-file and --key-file (or the peer ones) are given.",
        cure: "Give the pair, or say http.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::HttpWithCertificates,
        title: "an http URL although certificates are given",
        says: &[
            "The scheme of client url … is HTTP while peer key/cert files are presented. Ignored key/cert files.",
            "scheme is HTTP while key and cert files are present; ignoring key and cert files",
            "is HTTP while peer key/cert files are presented",
            "is HTTP while client cert auth (--client-cert-auth) is enabled. Ignored client cert auth for this url.",
            "scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL",
            "scheme is http or unix while key and cert files are present; ignoring key and cert files",
            "scheme is http or unix while peer key and cert files are present; ignoring peer key and cert files",
            "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL",
        ],
        cause: "Whether TLS is spoken is decided by the URL alone. An http listener ignores the certificates and \
            --client-cert-auth: whoever reaches it is let in.",
        cure: "Say https in --listen-client-urls and --listen-peer-urls; keep http for 127.0.0.1 at most.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::WildcardAdvertised,
        title: "0.0.0.0 is advertised",
        says: &["advertising URL … contains undialable hostname \"0.0.0.0\""],
        cause: "0.0.0.0 is right for listening, never for advertising: others would dial themselves. etcd accepts it in \
            silence.",
        cure: "Advertise an address or name that the others can dial and that is among the SANs.",
        proof: "etcd-pki verify CERT --ca CA --role server --host 0.0.0.0",
    },
    Pitfall {
        code: Code::HttpAdvertised,
        title: "http is advertised although TLS is on",
        says: &["http: server gave HTTP response", "tls: first record does not look like a TLS handshake"],
        cause: "The listen URL says https, the advertised one http: clients that sync the endpoints fall back to plain \
            HTTP and fail.",
        cure: "Advertise https; client URLs are published again at restart, peer URLs by `member update`.",
        proof: "etcdctl member list",
    },
    Pitfall {
        code: Code::WrongApiFlags,
        title: "etcdctl's v2 options given to v3, or the other way round",
        says: &[
            "Error: unknown flag: --ca-file",
            "unknown flag: --cert-file",
            "flag provided but not defined: -cacert",
            "Incorrect Usage. flag provided but not defined",
            "unknown flag: --endpoint",
        ],
        cause: "v2 has --ca-file --cert-file --key-file (ETCDCTL_CA_FILE, …), v3 has --cacert --cert --key \
            (ETCDCTL_CACERT, …). Which one speaks is decided by ETCDCTL_API and the version.",
        cure: "Use the options of the API that is in force; set ETCDCTL_API on purpose.",
        proof: "etcdctl --help",
    },
    Pitfall {
        code: Code::OldVariables,
        title: "options of etcd 3.3 and older",
        says: &[
            "flag provided but not defined: -ca-file",
            "unrecognized environment variable ETCD_CA_FILE",
            "unrecognized environment variable ETCD_PEER_CA_FILE",
            "unrecognized environment variable",
        ],
        cause: "--ca-file and --peer-ca-file (ETCD_CA_FILE, ETCD_PEER_CA_FILE) meant a trusted CA and client \
            certificates in one. From 3.4 on the options are fatal and the variables are ignored: the port is open to \
            all.",
        cure: "--trusted-ca-file with --client-cert-auth, --peer-trusted-ca-file with --peer-client-cert-auth.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::ConflictingFlags,
        title: "an option is given twice: as a flag and as a variable",
        says: &[
            "conflicting environment variable \"…\" is shadowed by corresponding command-line flag",
            "is shadowed by corresponding command-line flag",
        ],
        cause: "From 3.4 on, a flag and its ETCD_ or ETCDCTL_ variable together are fatal, even when they are equal; 3.3 \
            only warns.",
        cure: "Unset the variable or drop the flag (systemd: `UnsetEnvironment=`).",
        proof: "systemctl show etcd -p Environment -p EnvironmentFiles -p ExecStart",
    },
    Pitfall {
        code: Code::ListenAddress,
        title: "etcd cannot listen on an address",
        says: &[
            "listen tcp …: bind: address already in use",
            "listen tcp …: bind: cannot assign requested address",
            "listen tcp …: bind: permission denied",
            "expected IP in URL for binding (…)",
        ],
        cause: "Another process has the port (often an etcd that was not stopped), the host does not have the address (a \
            public or a load balancer's address), or a listen URL has a name where etcd wants an address.",
        cure: "`ss -ltnp` shows what has the port. Listen on an address of the host or on 0.0.0.0, and advertise the address \
            that others dial.",
        proof: "ss -ltnp",
    },
    Pitfall {
        code: Code::UnknownOption,
        title: "an option that this etcd does not have",
        says: &[
            "error verifying flags, flag provided but not defined: -…",
            "flag provided but not defined: -…",
            "unknown flag: --…",
        ],
        cause: "An option was removed or renamed, or the etcd that runs is another version than expected. 3.6 removed \
            --enable-v2, --experimental-enable-v2v3 and --proxy…; 3.7 removed the --experimental-… options, which 3.6 had \
            renamed; 3.5 removed --log-package-levels; 3.4 removed --ca-file and --peer-ca-file. A variable of the same \
            name is ignored with a warning.",
        cure: "Remove the option or use its new name; `etcd --help` lists those of the installed version.",
        proof: "etcd --help",
    },
];
