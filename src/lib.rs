//! etcd-pki: a certificate authority and PKI toolkit for etcd clusters.
//!
//! The rooms, from the top down; arrows point down only:
//! [`cli`] → [`migrate`], [`rehearse`], [`ca`], [`verify`] → [`host`], [`systemd`], [`etcd`] → [`inventory`], [`files`].
//! [`limits`] has what is accepted from outside at most, [`advice`] the fixes and hints that are printed. [`ca`] and [`verify`] know nothing of hosts. `ARCHITECTURE.md` has the whole picture.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test's own files"))]

pub mod advice;
pub mod ca;
pub mod cli;
pub mod etcd;
pub mod files;
pub mod host;
pub mod inventory;
pub mod limits;
pub mod migrate;
mod reference;
pub mod rehearse;
mod shell;
mod suggest;
pub mod survey;
pub mod systemd;
pub mod text;
mod until;
pub mod verify;
