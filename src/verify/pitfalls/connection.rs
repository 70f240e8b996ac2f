//! What goes wrong between two programs: who shows what to whom, and over which protocol.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::PeerSourceAddress,
        title: "a peer dials from an address that its certificate does not have",
        says: &[
            "tls: \"…\" does not match any of DNSNames [",
            "does not match any of DNSNames",
            "rejected connection from \"…\" (error \"x509: certificate is valid for …, not …\"",
        ],
        cause: "etcd's peer port, and only that one, compares the source address of the connection with the SANs of \
            the client certificate: IP SANs first, then DNS SANs by reverse and forward lookup. (A DNS SAN that is an \
            address needs no DNS: it stands for itself.) A certificate without \
            any IP or DNS SAN passes. NAT and a second interface bite here; the one who dials just sees a close.",
        cure: "Issue the member's certificate with the address that the others see it come from: `etcd-pki issue NAME --ip \
            ADDRESS --force`. (etcd 3.6 and later can leave the check out with --peer-skip-client-san-verification; \
            3.3.16 to 3.6 call it --experimental-peer-skip-client-san-verification, and 3.7 does not start with that name.)",
        proof: "etcd-pki verify CERT --ca CA --role peer --source-ip ADDRESS",
    },
    Pitfall {
        code: Code::NoClientCertificate,
        title: "the client shows no certificate",
        says: &[
            "tls: client didn't provide a certificate",
            "remote error: tls: certificate required",
            "alert certificate required",
            "alert number 116",
            "remote error: tls: bad certificate",
        ],
        cause: "The port asks for a client certificate and got none: no --cert/--key, or a client that found none of \
            its own signed by the CAs that the server named.",
        cure: "Give the client its pair: etcdctl `--cert --key --cacert`, v2 `--cert-file --key-file --ca-file`, curl \
            `--cert --key --cacert`.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::HttpToTls,
        title: "plain HTTP spoken to a TLS port",
        says: &[
            "tls: first record does not look like a TLS handshake",
            "first record does not look like a TLS handshake",
            "http: TLS handshake error from …: tls: first record does not look like a TLS handshake",
            "curl: (52) Empty reply from server",
            "malformed HTTP response",
            "client sent an HTTP request to an HTTPS server",
        ],
        cause: "A client, a health check or a peer still has an http URL. One or a few of these from a member that just \
            restarted are normal: it replays old peer URLs.",
        cure: "Use https in the URL; for a peer, `etcdctl member update` to its https peer URL.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::TlsToHttp,
        title: "TLS spoken to a plain port",
        says: &[
            "http: server gave HTTP response to HTTPS client",
            "server gave HTTP response to HTTPS client",
            "SSL_ERROR_SYSCALL",
            "curl: (35) Recv failure: Connection reset by peer",
            "wrong version number",
            "tls: oversized record received",
        ],
        cause: "The URL says https, but nobody serves TLS there (yet).",
        cure: "Use http in the URL, or give that listener its https URL and its certificate.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::TlsTooOld,
        title: "the client speaks TLS 1.1 at most",
        says: &[
            "tls: client offered only unsupported versions",
            "client offered only unsupported versions",
            "remote error: tls: protocol version not supported",
            "tlsv1 alert protocol version",
        ],
        cause: "Go's servers want TLS 1.2 since 1.18.",
        cure: "Update the client, or let it speak TLS 1.2.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::BadRecordMac,
        title: "an OpenSSL client that does not trust the server (TLS 1.3)",
        says: &["local error: tls: bad record MAC", "tls: bad record MAC"],
        cause: "OpenSSL sends its alert unencrypted when it refuses the server's certificate in TLS 1.3; Go cannot read \
            it and reports a bad record. Nothing was corrupted.",
        cure: "Give the client the right CA (`--cacert`).",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::CommonNameUser,
        title: "the certificate's common name is taken for an etcd user",
        says: &[
            "etcdserver: permission denied",
            "etcdserver: user name is empty",
            "etcdserver: user name not found",
            "auth: user not found",
        ],
        cause: "With authentication on, a client certificate logs in as the user that its common name names: CN=root is \
            root, a CN that is no user may do nothing, and no CN means no user.",
        cure: "Set the common name on purpose, or leave it out and log in with --user.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::Unreachable,
        title: "nobody answers at a member's address",
        says: &[
            "context deadline exceeded",
            "net/http: TLS handshake timeout",
            "dial tcp …: connect: connection refused",
            "dial tcp …: i/o timeout",
            "dial tcp …: connect: no route to host",
            "dial tcp: lookup …: no such host",
        ],
        cause: "The member is down, listens on another address or port than it advertises, or a firewall stands in \
            between. Members seen from outside may all be healthy while two of them cannot reach each other. etcdctl and \
            other gRPC clients print `context deadline exceeded` for each failure, those of TLS too: the server's log has \
            the reason.",
        cure: "Start it, or mend the address or the firewall; TLS is not to blame yet.",
        proof: "etcd-pki verify --cluster",
    },
    Pitfall {
        code: Code::SrvDiscovery,
        title: "SRV discovery checks the discovery domain",
        says: &["certificate is valid for …, not …", "error querying DNS SRV records"],
        cause: "With --discovery-srv and no trusted CA, the server name that is checked is the discovery domain, not \
            the host in the SRV record.",
        cure: "Add the discovery domain to the members' DNS SANs.",
        proof: "etcd-pki verify CERT --ca CA --role server --host DOMAIN",
    },
    Pitfall {
        code: Code::NoCommonCipher,
        title: "client and server have no cipher suite in common",
        says: &[
            "tls: no cipher suite supported by both client and server",
            "http2: TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher",
            "unexpected TLS cipher suite \"…\"",
            "remote error: tls: handshake failure",
            "sslv3 alert handshake failure",
        ],
        cause: "--cipher-suites leaves nothing that the client offers, or nothing that fits the key: suites with ECDSA need \
            an EC key, suites with RSA an RSA key. They apply up to TLS 1.2; HTTP/2 also requires an AES_128_GCM_SHA256 \
            suite. A server built with Go 1.21 or later sends the same alert over TLS 1.2 when the client has no \
            certificate.",
        cure: "Remove --cipher-suites, or add the AES_128_GCM_SHA256 suite for the type of the key, such as \
            TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::OtherCluster,
        title: "a member of another cluster, or one that was removed",
        says: &[
            "failed to find remote peer in cluster",
            "request cluster ID mismatch (got … want …)",
            "request sent was ignored (cluster ID mismatch: peer[…]=…, local=…)",
            "member … has already been bootstrapped",
            "the member has been permanently removed from the cluster",
            "error validating peerURLs",
            "couldn't find local name \"…\" in the initial cluster configuration",
        ],
        cause: "The data directory belongs to another cluster than the peers do: it was kept from an earlier attempt, the \
            initial cluster or its token changed, or the member was removed. TLS is not the cause.",
        cure: "Compare the member lists of both sides. For a member without data worth keeping: stop it, move its data \
            directory away, and add it again with `etcdctl member remove`, `etcdctl member add` and \
            --initial-cluster-state existing.",
        proof: "etcdctl member list",
    },
    Pitfall {
        code: Code::WrongService,
        title: "another service or another port answers",
        says: &[
            "invalid gRPC request content-type",
            "415 Unsupported Media Type",
            "unexpected HTTP status code received from server: …",
            "404 page not found",
            "remote error: tls: no application protocol",
        ],
        cause: "A client dials the peer port (2380), the metrics port, or a proxy that has no HTTP/2; or it sends plain \
            HTTP requests to a client port that serves gRPC alone, because --listen-client-http-urls has moved HTTP to \
            another port.",
        cure: "Dial the port in --listen-client-urls (2379) for gRPC, and the one in --listen-client-http-urls for HTTP; \
            have a proxy pass TCP or HTTP/2.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::ClosedInHandshake,
        title: "the connection is closed before the handshake is over",
        says: &[
            "rejected connection from \"…\" (error \"EOF\"",
            "http: TLS handshake error from …: EOF",
            "EOF occurred in violation of protocol",
            "Remote host terminated the handshake",
        ],
        cause: "The other side closes the connection and does not say why. In a server's log: a port check of a load \
            balancer or a monitor (TCP only), or a client that does not trust the server and sends no alert. In a \
            client: the server or a proxy closed, most often for the client's certificate.",
        cure: "Let the check use TLS (HAProxy: `check check-ssl`). Otherwise read the log of the other side at the same time.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
];
