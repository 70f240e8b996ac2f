//! RSA keys, which ring does not make.

use ring::rand::{SecureRandom, SystemRandom};

use super::PrivateKey;
use super::wipe::on_own_stack;
use crate::ca::CaError;

pub(super) fn generate_rsa(bits: usize) -> Result<PrivateKey, CaError> {
    use rsa::pkcs8::EncodePrivateKey;
    let failed = |what: String| CaError::Crypto { action: "make an RSA key", what };
    let der = on_own_stack(|| {
        let key = rsa::PrivateKey::new(&mut SystemRng, bits).map_err(|error| failed(error.to_string()))?;
        key.to_pkcs8_der().map_err(|error| failed(error.to_string()))
    })?;
    PrivateKey::from_pkcs8(der.as_bytes()).map_err(|error| failed(error.to_string()))
}

/// ring's system random source for the `rsa` crate.
struct SystemRng;

impl rsa::rand_core::TryRng for SystemRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        SystemRandom::new().fill(bytes).expect("the kernel gives random bytes once it has booted");
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for SystemRng {}
