//! Names, kinds of key, algorithms and usages in the words that people and scripts know them by.

use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage};

pub(super) fn sans(names: Option<&x509_parser::extensions::SubjectAlternativeName<'_>>) -> Vec<String> {
    names.map_or_else(Vec::new, |names| names.general_names.iter().map(san).collect())
}

fn san(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("DNS:{}", name),
        GeneralName::URI(name) => format!("URI:{}", name),
        GeneralName::RFC822Name(name) => format!("email:{}", name),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => format!("IP:{}", std::net::Ipv4Addr::from(v4)),
            (_, Ok(v6)) => format!("IP:{}", std::net::Ipv6Addr::from(v6)),
            _ => format!("IP:{} (not an address)", hex(bytes)),
        },
        other => other.to_string(),
    }
}

pub(super) fn signature(oid: &str) -> String {
    match oid {
        "1.2.840.10045.4.3.2" => "ecdsa-sha256",
        "1.2.840.10045.4.3.3" => "ecdsa-sha384",
        "1.2.840.10045.4.3.4" => "ecdsa-sha512",
        "1.2.840.10045.4.1" => "ecdsa-sha1",
        "1.2.840.113549.1.1.4" => "rsa-md5",
        "1.2.840.113549.1.1.5" => "rsa-sha1",
        "1.2.840.113549.1.1.10" => "rsa-pss",
        "1.2.840.113549.1.1.11" => "rsa-sha256",
        "1.2.840.113549.1.1.12" => "rsa-sha384",
        "1.2.840.113549.1.1.13" => "rsa-sha512",
        "1.3.101.112" => "ed25519",
        other => other,
    }
    .to_owned()
}

pub(super) fn key_usages(usage: &KeyUsage) -> Vec<String> {
    let all = [
        ("digitalSignature", usage.digital_signature()),
        ("contentCommitment", usage.non_repudiation()),
        ("keyEncipherment", usage.key_encipherment()),
        ("dataEncipherment", usage.data_encipherment()),
        ("keyAgreement", usage.key_agreement()),
        ("keyCertSign", usage.key_cert_sign()),
        ("cRLSign", usage.crl_sign()),
        ("encipherOnly", usage.encipher_only()),
        ("decipherOnly", usage.decipher_only()),
    ];
    all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()).collect()
}

pub(super) fn usages(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        ("any", usage.any),
        ("serverAuth", usage.server_auth),
        ("clientAuth", usage.client_auth),
        ("codeSigning", usage.code_signing),
        ("emailProtection", usage.email_protection),
        ("timeStamping", usage.time_stamping),
        ("OCSPSigning", usage.ocsp_signing),
    ];
    let known = known.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned());
    known.chain(usage.other.iter().map(x509_parser::der_parser::oid::Oid::to_id_string)).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
