//! Makes certificates: the authority, profiles, keys, the PKI directory and its ledger.
//!
//! [`Store`] is the PKI directory as it is read. What changes it goes through a [`Writer`]: [`Writer::open`] takes the
//! lock and finishes or undoes what an interrupted run left (see `transaction.rs`) before anything is read, and there is
//! no other way to the functions that write.

pub mod authority;
pub mod catalogue;
pub mod certificate;
pub mod constraints;
mod der;
pub mod encode;
pub mod error;
pub mod export;
pub mod fleet;
pub mod import;
pub mod init;
pub mod inspect;
pub mod issue;
pub mod issuing;
pub mod key;
pub mod ledger;
pub mod listing;
pub mod made;
pub mod name;
pub mod options;
pub mod pem;
mod pkcs12;
pub mod planned;
pub mod profile;
pub mod rebuild;
pub mod renew;
pub mod request;
pub mod revoke;
pub mod store;
pub mod stored;
pub mod template;
mod transaction;
pub mod writer;

pub use authority::Authority;
pub use error::CaError;
pub use key::{KeyType, Passphrase, PrivateKey};
pub use name::{CertName, San};
pub use profile::{Profile, Profiles};
pub use store::{Pair, Store};
pub use writer::Writer;
