//! What an etcd member is: its URLs, its effective configuration, its APIs, its health.

pub mod client;
pub mod config;
pub mod config_file;
pub mod error;
pub mod etcdctl;
pub mod flags;
pub mod ports;
pub mod quorum;
pub mod tls;
pub mod transport;
pub mod types;

pub use client::{
    Alarm, Api, Client, Endpoint, Event, Health, KeyValue, Member, MemberList, PeerStream, Status, User,
    Versions, Watch,
};
pub use config::{Config, Conflict, Source};
pub use error::{EtcdError, Fault};
pub use etcdctl::{Etcdctl, PairFiles};
pub use flags::ConfigError;
pub use tls::{Tls, TlsError};
pub use transport::{Dial, DialFrom, Direct};
pub use types::{ClientUrl, HostPort, MemberId, MemberUrl, PeerUrl, Scheme, Url, UrlError, join};
