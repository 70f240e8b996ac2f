//! What a certificate says of itself: usage, names, dates, keys and signatures.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::MissingClientAuth,
        title: "client or peer certificate without clientAuth",
        says: &[
            "x509: certificate specifies an incompatible key usage",
            "remote error: tls: bad certificate",
            "sslv3 alert bad certificate",
            "alert number 42",
            "sslv3 alert handshake failure",
            "tls: failed to verify client certificate: x509: certificate specifies an incompatible key usage",
        ],
        cause: "The extended key usage lists something, but not clientAuth. Go strikes a usage out if any certificate \
            from the root down lists usages without it. A peer is a client to the other members, so a member's \
            certificate needs clientAuth too.",
        cure: "Issue the certificate again with clientAuth (and serverAuth for members). No certificate of the \
            chain may leave it out: where an intermediate or the root does, the leaf is not at fault; make that one again \
            without extended key usages, or with both, and issue below it.",
        proof: "etcd-pki verify CERT --ca CA --role client",
    },
    Pitfall {
        code: Code::GatewayClientAuth,
        title: "server certificate without clientAuth while --client-cert-auth is on",
        says: &[
            "rejected connection from \"127.0.0.1:…\" (error \"tls: failed to verify client…certificate: x509: certificate specifies an incompatible key usage\"",
            "\"code\":14",
            "transport: authentication handshake failed: remote error: tls: bad certificate",
        ],
        cause: "etcd's JSON gateway dials etcd's own client port and shows the server's certificate as its client \
            certificate. With --client-cert-auth that one is judged as a client's: /health and etcdctl work, every \
            /v3/* JSON call answers code 14 (etcd issues 9785, 16590, 19799).",
        cure: "Issue the server certificate with both serverAuth and clientAuth. No certificate of the chain may leave \
            clientAuth out: where an intermediate or the root does, the leaf is not at fault; make that one again without \
            extended key usages, or with both, and issue below it.",
        proof: "etcd-pki verify CERT --ca CA --role server --client-cert-auth",
    },
    Pitfall {
        code: Code::MissingServerAuth,
        title: "server certificate without serverAuth",
        says: &[
            "x509: certificate specifies an incompatible key usage",
            "unsuitable certificate purpose",
            "remote error: tls: bad certificate",
        ],
        cause: "Clients and dialling peers ask for serverAuth; the extended key usage lists something else only.",
        cure: "Issue the certificate again with serverAuth; members need clientAuth as well. No certificate of the \
            chain may leave it out: where an intermediate or the root does, the leaf is not at fault; make that one again \
            without extended key usages, or with both, and issue below it.",
        proof: "etcd-pki verify CERT --ca CA --role server",
    },
    Pitfall {
        code: Code::NoIpSan,
        title: "dialled by address, but the certificate has no IP SAN",
        says: &[
            "cannot validate certificate for … because it doesn't contain any IP SANs",
            "rejected connection from \"…\" (error \"remote error: tls: bad certificate\"",
        ],
        cause: "etcd's URLs hold addresses, and Go looks for an address among the iPAddress SANs only.",
        cure: "Issue the certificate again with every advertised address and 127.0.0.1 as IP SANs: `etcd-pki issue NAME --ip \
            ADDRESS --force`.",
        proof: "etcd-pki verify CERT --ca CA --role server --host ADDRESS",
    },
    Pitfall {
        code: Code::WrongSan,
        title: "the name or address that is dialled is not among the SANs",
        says: &[
            "certificate is valid for …, not …",
            "certificate is not valid for any names, but wanted to match …",
            "names, but none matched",
            "SSL: no alternative certificate subject name matches target",
            "does not match target host name",
            "rejected connection from \"…\" (error \"remote error: tls: bad certificate\"",
        ],
        cause: "The certificate speaks for other names or addresses than the URL that is dialled: a member that moved, \
            a second interface, a load balancer, a short name where the certificate has the full one.",
        cure: "Issue the certificate again with every name and address in the advertised URLs (`etcd-pki issue NAME --ip \
            ADDRESS --dns HOST --force`), or dial one it has. What the CA's name constraints forbid needs another CA.",
        proof: "etcd-pki verify CERT --ca CA --role server --host NAME_OR_ADDRESS",
    },
    Pitfall {
        code: Code::IpAsDnsSan,
        title: "an address written as a DNS SAN",
        says: &["cannot validate certificate for … because it doesn't contain any IP SANs"],
        cause: "`DNS:172.16.0.101` in the SANs is a name that looks like an address. Go compares addresses with \
            iPAddress SANs only.",
        cure: "Issue the certificate again with the address as an IP SAN (`--ip`, or `IP:` in openssl.cnf).",
        proof: "etcd-pki verify CERT --ca CA --role server --host ADDRESS",
    },
    Pitfall {
        code: Code::CommonNameOnly,
        title: "the name stands in the common name only",
        says: &[
            "x509: certificate relies on legacy Common Name field, use SANs instead",
            "use SANs or temporarily enable Common Name matching with GODEBUG=x509ignoreCN=0",
            "certificate is not valid for any names, but wanted to match",
        ],
        cause: "Go has ignored the common name since 1.15, while curl and OpenSSL still accept it: a test with curl \
            proves nothing here.",
        cure: "Issue the certificate again with the name as a DNS SAN and the address as an IP SAN.",
        proof: "etcd-pki verify CERT --ca CA --role server --host NAME",
    },
    Pitfall {
        code: Code::Expired,
        title: "the certificate has expired",
        says: &[
            "x509: certificate has expired or is not yet valid: current time … is after …",
            "certificate has expired",
            "alert certificate expired",
        ],
        cause: "notAfter has passed. etcd reads the pair again at every handshake: a renewed file works at once.",
        cure: "Renew the certificate (`etcd-pki renew NAME`) and install it over the old one (`etcd-pki install NAME --host \
            HOST`); no restart is needed for a pair.",
        proof: "etcd-pki verify CERT --ca CA --expires-within 30d",
    },
    Pitfall {
        code: Code::NotYetValid,
        title: "the certificate is not yet valid",
        says: &[
            "x509: certificate has expired or is not yet valid: current time … is before …",
            "certificate is not yet valid",
        ],
        cause: "notBefore lies in the future of the one who judges: a clock that is behind, or a certificate made \
            without backdating on a host whose clock is ahead.",
        cure: "Set the clocks (NTP); issue with some minutes of backdating.",
        proof: "etcd-pki verify CERT --ca CA --at TIME",
    },
    Pitfall {
        code: Code::WeakSignature,
        title: "signed with an algorithm that Go does not accept",
        says: &[
            "x509: cannot verify signature: insecure algorithm …",
            "x509: cannot verify signature: algorithm unimplemented",
            "insecure algorithm SHA1-RSA",
        ],
        cause: "MD5 and, since Go 1.18, SHA-1 signatures below the root are refused; SHA-224, DSA and PSS with unusual \
            parameters were never known. The root's own signature is not looked at.",
        cure: "Issue the certificate (or the intermediate) again with SHA-256 or better.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::RsaTooSmall,
        title: "an RSA key that is too small",
        says: &[
            "crypto/rsa: …-bit keys are insecure",
            "tls: certificate RSA key size too small for supported signature algorithms",
            "tls: peer doesn't support any of the certificate's signature algorithms",
            "ee key too small",
        ],
        cause: "512 bits cannot carry a TLS signature; below 1024 bits Go refuses from 1.24 on.",
        cure: "Make a new key: P-256 (`etcd-pki renew NAME --key-type p256`), or RSA with 2048 bits and more.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::RsaTooLarge,
        title: "an RSA key above 8192 bits",
        says: &["sent certificate containing RSA key larger than 8192 bits"],
        cause: "Go refuses such keys in handshakes since 1.21 (and 1.20.7, 1.19.12): they cost too much.",
        cure: "Make a new key: P-256, or RSA with 2048 to 4096 bits.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::UnsupportedCurve,
        title: "a curve that Go cannot use for TLS",
        says: &["tls: unsupported certificate curve (P-224)", "x509: unsupported elliptic curve"],
        cause: "Go's TLS signs with P-256, P-384, P-521 and Ed25519. P-224 is read but not used; secp256k1, brainpool \
            and others are not even read.",
        cure: "Make a new key on P-256 (or P-384, P-521, Ed25519).",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::NegativeSerial,
        title: "a negative serial number",
        says: &["x509: negative serial number"],
        cause: "The serial's highest bit is set, so it reads as a negative number; Go refuses it from 1.23 on, \
            unless etcd was built with x509negativeserial=1, as Debian's 3.5 is. An upgrade of etcd breaks what worked \
            before.",
        cure: "Issue the certificate again with a positive serial number.",
        proof: "etcd-pki verify CERT --ca CA --etcd-version 3.6",
    },
    Pitfall {
        code: Code::DuplicateExtension,
        title: "an extension that is there twice",
        says: &[
            "x509: certificate contains duplicate extension with OID …",
            "x509: certificate contains duplicate extensions",
        ],
        cause: "An openssl.cnf section that is applied twice, such as copied extensions beside -extfile.",
        cure: "Remove one of the two and issue the certificate again.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::UnknownCriticalExtension,
        title: "a critical extension that Go does not handle",
        says: &["x509: unhandled critical extension"],
        cause: "An extension marked critical must be understood or the certificate refused. Go handles keyUsage, \
            basicConstraints, SANs, name constraints of DNS, IP, mail and URI, extended key usage and (from 1.24) \
            policies; a directoryName constraint it does not.",
        cure: "Issue the certificate again without the extension, or with it not critical.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::MalformedCertificate,
        title: "a certificate that Go does not read",
        says: &[
            "x509: malformed",
            "x509: malformed certificate",
            "tls: failed to parse certificate from",
            "x509: invalid",
            "asn1: structure error",
        ],
        cause: "The bytes break DER or the profile in a way that Go refuses, although OpenSSL may not: bad characters in \
            a name, a length that is not minimal, a wrong address length, a broken extension, a truncated file.",
        cure: "Issue the certificate again with a tool that writes clean DER.",
        proof: "etcd-pki verify CERT --ca CA",
    },
];
