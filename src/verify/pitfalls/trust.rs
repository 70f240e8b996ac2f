//! Who signed it: the chain from the leaf to a root in the CA file.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::CaExpired,
        title: "the CA or an intermediate has expired",
        says: &["x509: certificate has expired or is not yet valid: current time … is after …"],
        cause: "Go looks at the dates of every certificate in the chain, the root's too: when the CA ends, everything \
            it signed ends with it, however long the leaf would last.",
        cure: "Make a new CA in a directory of its own (`etcd-pki --pki-dir NEWDIR init-ca`); put it and the old one into one \
            CA file, give that to every member and client, and restart the members one after the other; then issue from the \
            new one (`etcd-pki --pki-dir NEWDIR issue --from cluster.toml`) and install. An intermediate is made anew below \
            its root: `etcd-pki init-ca --intermediate --renew`.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::CaNotYetValid,
        title: "the CA or an intermediate is not yet valid",
        says: &["x509: certificate has expired or is not yet valid: current time … is before …"],
        cause: "The CA was made on a host whose clock was ahead, or the one who judges is behind.",
        cure: "Set the clocks; make the CA with some minutes of backdating.",
        proof: "etcd-pki verify CERT --ca CA --at TIME",
    },
    Pitfall {
        code: Code::UnknownAuthority,
        title: "signed by a CA that is not in the CA file",
        says: &[
            "x509: certificate signed by unknown authority",
            "certificate verify failed",
            "unable to get local issuer certificate",
            "self signed certificate in certificate chain",
            "self-signed certificate",
            "remote error: tls: unknown certificate authority",
            "alert unknown ca",
        ],
        cause: "No certificate in the CA file has the issuer's name: another CA signed it, or the members hold \
            different CA files. The trusted CA is read once, at start: a changed CA file needs a restart.",
        cure: "Put the CA that signed the certificate into the CA file of whoever judges it, and restart; or issue the \
            certificate from the CA that is trusted.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::SameNameOtherKey,
        title: "a CA of the same name, but another key",
        says: &[
            "x509: certificate signed by unknown authority (possibly because of \"… verification …\" while trying to verify candidate authority certificate",
            "x509: ECDSA verification failure",
            "crypto/rsa: verification error",
            "certificate signature failure",
        ],
        cause: "The CA was made again under its old name: names match, signatures do not. It looks right in every \
            listing of subjects.",
        cure: "Find the CA whose key signed it (compare key identifiers: `etcd-pki inspect CERT`), or issue everything again \
            from the new one.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::MissingIntermediate,
        title: "the intermediate is not sent along",
        says: &[
            "x509: certificate signed by unknown authority",
            "unable to verify the first certificate",
            "unable to get local issuer certificate",
        ],
        cause: "The leaf was signed by an intermediate, the CA file holds the root, and nobody shows the intermediate \
            that joins them.",
        cure: "Append the intermediate to the certificate file, leaf first: `cat leaf.pem intermediate.pem`.",
        proof: "etcd-pki verify CERT --chain INTERMEDIATE --ca CA",
    },
    Pitfall {
        code: Code::NotACa,
        title: "the signer may not sign certificates",
        says: &[
            "parent certificate cannot sign this kind of certificate",
            "x509: certificate is not authorized to sign other certificates",
            "invalid CA certificate",
        ],
        cause: "The signer lacks basicConstraints or says CA:FALSE, or its keyUsage lacks keyCertSign. (No keyUsage at \
            all is fine, and so is an old version 1 root.)",
        cure: "Make the CA again with critical basicConstraints CA:TRUE and keyUsage keyCertSign, cRLSign.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::PathLength,
        title: "too many intermediates below a CA that limits them",
        says: &["x509: too many intermediates for path length constraint", "path length constraint exceeded"],
        cause: "pathlen says how many intermediates may follow. Go counts every one of them, self-issued ones too, and \
            judges the root's limit as well.",
        cure: "Issue from a CA that is high enough, or make the upper CA again with a larger pathlen.",
        proof: "etcd-pki verify CERT --chain INTERMEDIATES --ca CA",
    },
    Pitfall {
        code: Code::NameConstraint,
        title: "a name constraint of the CA forbids one of the SANs",
        says: &[
            "x509: a root or intermediate certificate is not authorized to sign for this name: …",
            "is not permitted by any constraint",
            "is excluded by constraint",
            "permitted subtree violation",
            "excluded subtree violation",
            "x509: issuer has name constraints but leaf doesn't have a SAN extension",
        ],
        cause: "All SANs of the certificate are judged, not only the one that is dialled, and client certificates are \
            judged as well. A CA that permits 172.16.0.0/16 forbids 127.0.0.1.",
        cure: "Leave the SAN out, or make the CA again with ranges that cover it.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::SignatureLimit,
        title: "more signatures to check than Go is willing to",
        says: &["x509: signature check attempts limit reached while verifying certificate chain"],
        cause: "Many CAs of the same name in the CA file or in the chain: Go tries a hundred signatures, then gives up.",
        cure: "Remove old and duplicate CAs from the bundle.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::CertificatePolicies,
        title: "the chain demands a certificate policy that it does not have",
        says: &["x509: no valid chains built: …", "chains with invalid policies"],
        cause: "A CA says requireExplicitPolicy, and no policy runs through the whole chain; Go judges this from 1.24 on.",
        cure: "Issue below that CA with its policy, or from a CA without policyConstraints.",
        proof: "etcd-pki verify CERT --ca CA --etcd-version 3.5.23",
    },
    Pitfall {
        code: Code::ServerNotTrusted,
        title: "the client does not trust the server's certificate",
        says: &[
            "rejected connection from \"…\" (error \"remote error: tls: unknown certificate authority\"",
            "rejected connection from \"…\" (error \"remote error: tls: unknown certificate\"",
            "rejected connection from \"…\" (error \"remote error: tls: bad certificate\"",
            "SSL certificate problem: …",
        ],
        cause: "The one that complains in the server's log is the client: its CA file does not cover what the server \
            shows. The server's certificate may be fine.",
        cure: "Give the client the CA that signed the server's certificate (`--cacert`, v2 `--ca-file`).",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
];
