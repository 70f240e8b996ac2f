//! Speaking as a user where etcd's authentication is on.
//!
//! Without a user 3.5.30 refuses every v3 call, the member list and the status too; 3.3 and 3.4 refuse reads, writes and
//! member updates (seen). Logging in is a commit: it needs a quorum.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::reply::Reply;
use crate::etcd::error::{EtcdError, Fault};

/// gRPC's "failed precondition": here, that authentication is not enabled.
const NOT_ENABLED: i64 = 9;

/// A user of etcd's own authentication.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A user with the token that v3 gave; clients of one cluster may share it, since a token holds at every member that was
/// up when it was given.
#[derive(Clone)]
pub struct Login(pub(super) Arc<Session>);

impl Login {
    /// Nobody is asked yet.
    pub fn new(user: User) -> Self {
        Self(Arc::new(Session { user, token: Mutex::new(Token::None) }))
    }

    /// Who logs in.
    pub fn user(&self) -> &User {
        &self.0.user
    }
}

/// What a login holds.
pub(super) struct Session {
    user: User,
    token: Mutex<Token>,
}

enum Token {
    None,
    NotNeeded,
    Held(Zeroizing<String>),
}

impl Session {
    /// The `Authorization` header for a path, after logging in where that was not done yet: `post` sends a body to a path.
    pub(super) fn header(
        &self,
        path: &str,
        post: impl FnOnce(&str, String) -> Result<Reply, EtcdError>,
    ) -> Result<Option<Zeroizing<String>>, EtcdError> {
        let User { name, password } = &self.user;
        if path.starts_with("/v2/") {
            let pair = Zeroizing::new(format!("{name}:{}", password.as_str()));
            return Ok(Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))));
        }
        // `/v3/…` and its older names, but not the login itself.
        let Some((prefix, call)) = path.get(1..).and_then(|path| path.split_once('/')) else {
            return Ok(None);
        };
        if !prefix.starts_with("v3") || call == "auth/authenticate" {
            return Ok(None);
        }
        let mut token = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Token::None = *token {
            *token = log_in(prefix, &self.user, post)?;
        }
        Ok(match &*token {
            Token::Held(token) => Some(token.clone()),
            Token::None | Token::NotNeeded => None,
        })
    }

    /// Forgets the token if the answer says that it no longer holds (it lives 300 seconds, and not through a restart).
    pub(super) fn forget_if_stale(&self, reply: &Reply) -> bool {
        if reply.status == 200 {
            return false;
        }
        let Fault::Auth { message } = reply.refusal() else { return false };
        let mut token = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Authentication may have been switched on meanwhile, too.
        let stale = match *token {
            Token::None => false,
            Token::NotNeeded => true,
            Token::Held(_) => message.contains("invalid auth token"),
        };
        if stale {
            *token = Token::None;
        }
        stale
    }
}

fn log_in(
    prefix: &str,
    user: &User,
    post: impl FnOnce(&str, String) -> Result<Reply, EtcdError>,
) -> Result<Token, EtcdError> {
    #[derive(Deserialize)]
    struct Granted {
        token: String,
    }
    let body = json!({ "name": user.name, "password": user.password.as_str() }).to_string();
    let reply = post(&format!("/{prefix}/auth/authenticate"), body)?;
    if reply.is_unserved() {
        return Ok(Token::NotNeeded);
    }
    if reply.status != 200
        && let Fault::Server { code: Some(NOT_ENABLED), .. } = reply.refusal()
    {
        return Ok(Token::NotNeeded);
    }
    Ok(Token::Held(Zeroizing::new(reply.ok()?.json::<Granted>()?.token)))
}
