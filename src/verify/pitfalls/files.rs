//! Files: what is in them, in which form and order, and who may read them.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::KeyMismatch,
        title: "key and certificate do not belong together",
        says: &[
            "tls: private key does not match public key",
            "tls: private key type does not match public key type",
            "key values mismatch",
        ],
        cause: "The key file belongs to another certificate: a pair mixed up while copying, or a certificate renewed \
            with a new key and only one of the two files replaced.",
        cure: "Install the pair that belongs together; replace both files.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::KeyEncrypted,
        title: "the key is encrypted",
        says: &["tls: failed to parse private key"],
        cause: "etcd never asks for a passphrase: a key for etcd must be stored unencrypted.",
        cure: "Decrypt it: `openssl pkey -in KEY -out NEWKEY`, mode 0600.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::KeyUnusable,
        title: "a key of a kind that Go cannot use",
        says: &[
            "tls: failed to parse private key",
            "tls: found unknown private key type in PKCS#8 wrapping",
            "tls: failed to find any PEM data in key input",
            "tls: unknown public key algorithm",
            "tls: found a certificate rather than a key in the PEM for the private key",
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input",
        ],
        cause: "Ed448, an RSA-PSS key, secp256k1, DSA, a damaged file, or something that is no key at all. (An EC \
            PARAMETERS block before the key does no harm.)",
        cure: "Make a new key on P-256 (or P-384, P-521, Ed25519, RSA 2048 and up) and a certificate for it.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::LeafNotFirst,
        title: "another certificate stands before the leaf",
        says: &[
            "tls: private key does not match public key",
            "tls: private key type does not match public key type",
        ],
        cause: "Go takes the first certificate of the file as its own; the order of the rest does not matter.",
        cure: "Put the leaf first: `cat leaf.pem intermediate.pem`.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::NotPem,
        title: "DER, or no PEM at all, where PEM is wanted",
        says: &["tls: failed to find any PEM data in certificate input", "failed to find any PEM data"],
        cause: "A .der, .cer or .p12 file, an empty file, or a file whose PEM lines were damaged on the way.",
        cure: "Convert it: `openssl x509 -inform der -in CERT -out CERT.pem`.",
        proof: "etcd-pki verify CERT",
    },
    Pitfall {
        code: Code::NotACertificate,
        title: "a request or a key where a certificate belongs",
        says: &[
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: …",
            "x509: malformed tbs certificate",
        ],
        cause: "--cert-file names a .csr or a key, or the two options were switched.",
        cure: "Name the certificate in --cert-file and its key in --key-file; have a request signed first.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::EmptyCaFile,
        title: "a CA file without a single certificate",
        says: &["x509: certificate signed by unknown authority"],
        cause: "etcd starts with an empty CA file, or with one that holds no PEM (DER, say), and then refuses everyone.",
        cure: "Put the CA's certificate into it, as PEM, and restart.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::CaFileJunk,
        title: "a CA file with something else in it",
        says: &["x509: malformed tbs certificate", "x509: malformed certificate", "x509: trailing data"],
        cause: "etcd reads every PEM block of the CA file as a certificate, whatever its label says: a key or a request \
            among them is fatal at start (etcd issues 5272, 6723).",
        cure: "Leave only CERTIFICATE blocks in the CA file. A key in it must be replaced: it was readable to all.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::KeyUnreadable,
        title: "etcd cannot read the key, or another file that it is given",
        says: &[
            "permission denied",
            "open …-key.pem: permission denied",
            "open …: permission denied",
            "open …: no such file or directory",
        ],
        cause: "The key belongs to root with mode 0600 and etcd runs as its own user, or a parent directory may not be \
            entered (etcd issue 12930). Or the file is not there at all.",
        cure: "`chown etcd:etcd KEY; chmod 0600 KEY`, and every directory above it must let etcd through.",
        proof: "etcd-pki verify DIRECTORY --owner etcd",
    },
    Pitfall {
        code: Code::HalfAPair,
        title: "a certificate without its key, or the other way round",
        says: &["KeyFile and CertFile must both be present", "must both be present"],
        cause: "--cert-file and --key-file (and the peer ones) only work together.",
        cure: "Give both options, or neither.",
        proof: "etcd-pki verify CERT --key KEY",
    },
    Pitfall {
        code: Code::BrokenCrl,
        title: "a revocation list that cannot be read rejects everyone",
        says: &[
            "rejected connection from \"…\" (error \"open …: no such file or directory\"",
            "rejected connection from \"…\" (error \"asn1: structure error: …",
            "rejected connection from \"…\" (error \"x509: malformed crl",
            "asn1: structure error: tags don't match … CertificateList",
        ],
        cause: "--client-crl-file is read again at each handshake; if it is missing or damaged, every connection is \
            refused. Up to 3.5 PEM or DER will do, from 3.6 on DER only. Of several lists in a file the first counts.",
        cure: "Write the list in DER (crl.der, which `etcd-pki crl` makes), replace it atomically, and never delete it.",
        proof: "etcd-pki verify CERT --ca CA --crl CRL",
    },
    Pitfall {
        code: Code::Revoked,
        title: "the certificate is on the revocation list",
        says: &[
            "transport: certificate serial … revoked",
            "certificate serial number is revoked",
            "certificate revoked",
        ],
        cause: "etcd compares serial numbers only, of every certificate that is presented: not the issuer, not the \
            list's signature, not its dates. A serial of 1 from another CA is revoked with yours. Open connections go on. \
            A member with a revoked peer pair stays in the cluster, since the other members dial it and check no list. \
            Where --listen-client-http-urls is set, a gRPC port may not check the list at all \
            (GHSA-3wh4-j44w-pg92, EP078).",
        cure: "Issue a new certificate; use random serial numbers. To keep a member out, remove it with \
            `etcdctl member remove`, or replace the CA.",
        proof: "etcd-pki verify CERT --ca CA --crl CRL",
    },
    Pitfall {
        code: Code::UnitCannotStart,
        title: "systemd cannot start the process of the unit",
        says: &[
            "Main process exited, code=exited, status=203/EXEC",
            "Failed at step EXEC spawning …: …",
            "Failed to locate executable …: …",
            "status=217/USER",
            "status=200/CHDIR",
        ],
        cause: "etcd did not run at all: the program in ExecStart= is missing, not executable or for another architecture \
            (203), the user does not exist (217), the working directory is missing (200), or a sandbox option names a \
            path that is missing (226). TLS is not the cause.",
        cure: "Correct the path, user or directory in the unit; `systemctl cat etcd` shows the unit with its drop-ins. Then \
            `systemctl daemon-reload` and `systemctl restart etcd`.",
        proof: "systemctl status etcd",
    },
];
