//! etcd-pki: a certificate authority and PKI toolkit for etcd clusters.
//!
//! The rooms, from the top down; arrows point down only:
//! [`cli`] → [`migrate`], [`rehearse`], [`ca`], [`verify`] → [`host`], [`systemd`], [`etcd`] → [`inventory`], [`files`].
//! [`ca`] and [`verify`] know nothing of hosts. `ARCHITECTURE.md` has the whole picture.

pub mod ca;
pub mod cli;
pub mod etcd;
pub mod files;
pub mod host;
pub mod inventory;
pub mod migrate;
pub mod rehearse;
pub mod survey;
pub mod systemd;
mod until;
pub mod verify;
