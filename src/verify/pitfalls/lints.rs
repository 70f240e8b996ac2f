//! What etcd accepts today and what bites later.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::ExpiresSoon,
        title: "the certificate ends soon",
        says: &[],
        cause: "It ends within the time that was asked for; etcd accepts it until the last second and nobody afterwards.",
        cure: "Renew it: `etcd-pki renew NAME`; a pair is read again at every handshake.",
        proof: "etcd-pki verify CERT --ca CA --expires-within 30d",
    },
    Pitfall {
        code: Code::LongValidity,
        title: "a leaf that is valid for very long",
        says: &[],
        cause: "More than about two years: a stolen key stays good, and whoever must renew it will have forgotten how.",
        cure: "Issue for a year or less and renew by a timer.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::OutlivesCa,
        title: "a leaf that outlives its CA",
        says: &[],
        cause: "It ends after the CA does: on that day it stops working, whatever its own date says.",
        cure: "Issue it again: `etcd-pki issue NAME --ip ADDRESS --force` makes none that outlives its CA. Replace the CA before \
            it ends, as EP014 says.",
        proof: "etcd-pki verify CERT --ca CA",
    },
    Pitfall {
        code: Code::WeakRootSignature,
        title: "a root that signed itself with SHA-1 or MD5",
        says: &[],
        cause: "Nobody checks a root's own signature, so it works; scanners complain, and what made it is old.",
        cure: "Nothing has to be done now; the next CA that init-ca makes is signed with SHA-256.",
        proof: "etcd-pki inspect CA",
    },
    Pitfall {
        code: Code::OddSerial,
        title: "a serial number that is zero, tiny or too long",
        says: &[],
        cause: "RFC 5280 wants a positive serial of at most 20 bytes; etcd's revocation compares nothing but serials, so \
            small ones collide between CAs.",
        cure: "Issue with random serial numbers.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::NoKeyIdentifier,
        title: "no subject or authority key identifier",
        says: &[],
        cause: "Go only uses them to order candidates, but with two CAs of one name (a rotation) they are what tells \
            them apart; other tools refuse certificates without them.",
        cure: "Issue with subjectKeyIdentifier and authorityKeyIdentifier.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::NoLoopbackSan,
        title: "a member's certificate without 127.0.0.1",
        says: &["certificate is valid for …, not 127.0.0.1"],
        cause: "etcd's own gateway, health checks and etcdctl on the node dial 127.0.0.1.",
        cure: "Add 127.0.0.1 (and localhost) to the SANs.",
        proof: "etcd-pki verify CERT --ca CA --role server --host 127.0.0.1",
    },
    Pitfall {
        code: Code::WildcardSan,
        title: "a wildcard SAN in a peer's certificate",
        says: &["does not match any of DNSNames [*."],
        cause: "etcd's peer check matches a wildcard only against the reverse DNS name of the source address; without \
            reverse DNS every connection is refused.",
        cure: "Add the member's address as an IP SAN.",
        proof: "etcd-pki verify CERT --ca CA --role peer --source-ip ADDRESS",
    },
    Pitfall {
        code: Code::WeakRsa,
        title: "an RSA key below 2048 bits",
        says: &[],
        cause: "1024 bits still work with Go, but are within reach of an attacker, and distributions' OpenSSL refuses \
            them.",
        cure: "Make a new key: P-256, or RSA with 2048 bits and more.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::KeyExposed,
        title: "a key that others can read",
        says: &[],
        cause: "The file's mode lets group or others read it: whoever has an account on the host is a member.",
        cure: "`chmod 0600 KEY`; if others had accounts there, issue a new pair.",
        proof: "etcd-pki verify DIRECTORY",
    },
    Pitfall {
        code: Code::KeyOwner,
        title: "a key that etcd's user does not own",
        says: &[],
        cause: "A key of mode 0600 that belongs to someone else than the unit's user cannot be read by etcd.",
        cure: "`chown etcd:etcd KEY`.",
        proof: "etcd-pki verify DIRECTORY",
    },
    Pitfall {
        code: Code::CaKeyOnNode,
        title: "the CA's key lies beside a member's files",
        says: &[],
        cause: "A node needs the CA's certificate, never its key: whoever takes the node can issue himself anything.",
        cure: "Move the key to where certificates are issued; if the node was open to others, rotate the CA.",
        proof: "etcd-pki verify DIRECTORY",
    },
    Pitfall {
        code: Code::LeafIsCa,
        title: "a CA's certificate used as a leaf",
        says: &[],
        cause: "Go accepts a CA certificate as a leaf; its key then lies on a node and can sign anything.",
        cure: "Issue a leaf for the node and take the CA's key away.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::NoUsageLimit,
        title: "a leaf without any extended key usage",
        says: &[],
        cause: "Without an extended key usage a certificate is good for everything; Go accepts that, other tools do not.",
        cure: "Issue with serverAuth and clientAuth for members, clientAuth for clients.",
        proof: "etcd-pki inspect CERT",
    },
    Pitfall {
        code: Code::StaleCrl,
        title: "a revocation list past its next update",
        says: &[],
        cause: "etcd does not look at a list's dates and goes on with an old one: what was revoked since is let in. \
            OpenSSL, Java and others refuse everyone while the list is old.",
        cure: "Make a new list and replace the file; let a timer do it: etcd reads it again at each handshake.",
        proof: "etcd-pki verify CERT --ca CA --crl CRL",
    },
    Pitfall {
        code: Code::ForeignCrl,
        title: "a revocation list that another CA has signed",
        says: &[],
        cause: "etcd checks neither the list's signature nor its issuer, and compares serial numbers alone: with another \
            CA's list your revoked certificates are let in, and a certificate that shares a number is refused.",
        cure: "Give etcd the list of the CA that issued its clients' certificates.",
        proof: "etcd-pki verify CERT --ca CA --crl CRL",
    },
    Pitfall {
        code: Code::Drift,
        title: "the process runs with other settings than the disk holds",
        says: &[],
        cause: "Somebody edited a unit, a drop-in, an environment file or the configuration file and did not restart \
            etcd, or systemd was not told. The next restart, planned or not, brings the difference to life.",
        cure: "Restart the member at a time of your choice, or undo the edit.",
        proof: "etcd-pki verify --node HOST",
    },
    Pitfall {
        code: Code::ServedOlder,
        title: "another certificate is served than the one on disk",
        says: &[],
        cause: "The pair was renewed where certificates are made, or on another path, and not installed on the node; or \
            something else than etcd (a proxy, a load balancer) answers there. etcd itself reads its pair again at \
            every handshake.",
        cure: "Install the new pair on the node, atomically; no restart is needed for a pair.",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA",
    },
    Pitfall {
        code: Code::CaNotReloaded,
        title: "the CA file is newer than the process",
        says: &[],
        cause: "etcd reads its trusted CA once, at start. A CA added to the file since then is not trusted yet, one \
            taken out still is.",
        cure: "Restart the member.",
        proof: "etcd-pki verify --node HOST",
    },
];
