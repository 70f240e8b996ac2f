//! What opening an encrypted key may cost. The file itself says how much work its passphrase takes, so that a foreign
//! one can ask for all memory, or for a year.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, ScryptParams};

use super::KeyError;
use crate::limits::{self, PBKDF2_ROUNDS, SCRYPT_LANES, SCRYPT_MEMORY, SCRYPT_WORK};

/// Refuses parameters of a key derivation that make no sense or cost too much.
pub(super) fn check(info: &EncryptedPrivateKeyInfoRef<'_>) -> Result<(), KeyError> {
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else { return Ok(()) };
    match &parameters.kdf {
        Kdf::Pbkdf2(found) if found.iteration_count == 0 => Err(unusable("PBKDF2 with 0 rounds")),
        Kdf::Pbkdf2(found) if found.iteration_count > PBKDF2_ROUNDS => Err(KeyError::TooCostly(format!(
            "opening it takes {} rounds of PBKDF2, and keys with up to {PBKDF2_ROUNDS} are read",
            found.iteration_count
        ))),
        Kdf::Scrypt(found) => check_scrypt(found),
        _ => Ok(()),
    }
}

fn check_scrypt(found: &ScryptParams) -> Result<(), KeyError> {
    let (n, r, p) = (found.cost_parameter, u64::from(found.block_size), found.parallelization);
    let parameters = format!("scrypt with N = {n}, r = {r}, p = {p}");
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(unusable(&parameters));
    }
    let memory = n.saturating_mul(r).saturating_mul(128);
    if memory > SCRYPT_MEMORY {
        return Err(KeyError::TooCostly(format!(
            "opening it takes {} of memory ({parameters}), and keys with up to {} are read",
            limits::size(memory),
            limits::size(SCRYPT_MEMORY)
        )));
    }
    let work = n.saturating_mul(r).saturating_mul(p.into());
    if p > SCRYPT_LANES || work > SCRYPT_WORK {
        return Err(KeyError::TooCostly(format!(
            "opening it takes too much work ({parameters}): keys with up to N·r·p = {SCRYPT_WORK} and p = \
             {SCRYPT_LANES} are read"
        )));
    }
    Ok(())
}

fn unusable(parameters: &str) -> KeyError {
    KeyError::Unusable(format!("it is encrypted in a way that cannot be ({parameters})"))
}
