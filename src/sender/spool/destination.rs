//! Where a file is meant for: the endpoint, the workspace and the key of the client that has written it. The key itself is
//! in no file; one that has the same key finds out that it is the same.

use crate::config::Config;
use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// As it stands in a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Named {
    /// For people who read it, without a password.
    pub(super) url: String,
    /// Random, so that nobody sees which files belong together.
    salt: String,
    /// Half of an HMAC-SHA256 under the key, of salt, URL and workspace.
    digest: String,
}

/// What this client sends to.
pub(super) struct Destination {
    /// Without user name and password.
    shown: String,
    url: String,
    workspace: String,
    /// Today's first.
    keys: Vec<Secret>,
    takes_all: bool,
}

impl Destination {
    pub(super) fn new(config: &Config) -> Self {
        let text = config.endpoint.expose().trim();
        let of = |url: &str| url.trim_end_matches('/').to_owned();
        let (url, shown) = match Url::parse(text) {
            Ok(url) => {
                let mut shown = url.clone();
                let _ = (shown.set_username(""), shown.set_password(None));
                (of(url.as_str()), of(shown.as_str()))
            }
            // Nothing is ever sent there.
            Err(_) => (of(text), config.endpoint.to_string()),
        };
        Self {
            shown,
            url,
            workspace: config.workspace_id.clone().unwrap_or_default(),
            keys: config.api_key.iter().chain(&config.previous_api_keys).cloned().collect(),
            takes_all: config.adopted_spool,
        }
    }

    /// For a new file.
    pub(super) fn name(&self) -> Option<Named> {
        let salt = Uuid::new_v4().simple().to_string();
        let half = self.mac(self.keys.first()?, &salt)?.finalize().into_bytes();
        let digest = half[..16].iter().fold(0, |digest, byte| digest << 8 | u128::from(*byte));
        Some(Named { url: self.shown.clone(), salt, digest: format!("{digest:032x}") })
    }

    /// Whether a file that names this is meant for this client.
    pub(super) fn is(&self, named: &Named) -> bool {
        let digest = u128::from_str_radix(&named.digest, 16).ok().filter(|_| named.digest.len() == 32);
        let Some(digest) = digest.map(u128::to_be_bytes) else { return false };
        let is_under = |key| self.mac(key, &named.salt).is_some_and(|mac| mac.verify_truncated_left(&digest).is_ok());
        self.keys.iter().any(is_under)
    }

    /// Whether it sends whatever is there, wherever it was meant for.
    pub(super) fn takes_all(&self) -> bool {
        self.takes_all
    }

    fn mac(&self, key: &Secret, salt: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().trim().as_bytes()).ok()?;
        for text in [salt, &self.url, &self.workspace] {
            // With its length, so that no text goes over into the next one.
            mac.update(&(text.len() as u64).to_le_bytes());
            mac.update(text.as_bytes());
        }
        Some(mac)
    }
}
