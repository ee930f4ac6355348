//! Everything about the API that public sources leave open, as settings with defaults, and the client's
//! own limits. All of it can be written in a configuration file.

mod vm;

use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::family::Family;

/// Settings of a [`crate::Client`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Scheme and host of the API. A path in it replaces every prefix of `path_prefixes`, because
    /// the `url` key of existing secrets carries the prefix (`https://api.vpsie.com/apps/v2`).
    pub base_url: String,
    /// Path prefix of each part of the API.
    pub path_prefixes: PathPrefixes,
    /// In which header the token goes.
    pub auth_header: AuthHeader,
    /// Encoding of the body that exchanges client id and secret for a token.
    pub token_body: TokenBody,
    /// Life of a token whose reply does not tell.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub token_lifetime: Duration,
    /// How long before its end a token is renewed.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub token_renew_ahead: Duration,
    /// How long refused credentials are not tried again, unless they are replaced.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub refused_credentials_pause: Duration,
    /// Deadline of one request, its reply included.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub request_timeout: Duration,
    /// How often a read is tried in all; a request that changes something is sent once.
    pub read_attempts: u32,
    /// Pause before the second attempt of a read; doubles with each further one.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub read_backoff: Duration,
    /// Requests per minute that the client allows itself.
    pub requests_per_minute: u32,
    /// Requests that may go at once after a quiet time.
    pub burst: u32,
    /// When to stop calling a server that fails.
    pub breaker: BreakerSettings,
    /// How workers and control-plane nodes are told apart.
    pub roles: RoleSettings,
    /// How VMs are ordered and removed.
    pub vm: VmSettings,
    /// Texts (in any case) of a refusal for want of quota, whatever its HTTP status.
    pub limit_patterns: Vec<String>,
    /// Texts (in any case) of a refusal because the datacenter has no machine of the size to give.
    pub stock_patterns: Vec<String>,
    /// Texts (in any case) of a refusal because something of the kind exists already.
    pub conflict_patterns: Vec<String>,
    /// Value of the `User-Agent` header.
    pub user_agent: String,
}

/// Path prefixes, one per part of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PathPrefixes {
    /// Token exchange.
    pub auth: String,
    /// Managed Kubernetes.
    pub kubernetes: String,
    /// Datacenters, plans, projects.
    pub catalogue: String,
    /// Categories of plans.
    pub plans: String,
    /// Virtual machines.
    pub vm: String,
    /// The list of machines that storage can be attached to.
    pub storage: String,
}

/// Header that carries the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthHeader {
    /// `Vpsie-Auth: TOKEN`
    #[default]
    VpsieAuth,
    /// `Authorization: Bearer TOKEN`
    Bearer,
    /// Both of them.
    Both,
}

/// Encoding of the token exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenBody {
    /// `application/json`
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

pub use vm::{FlagStyle, ProjectStyle, VmSettings};

/// When the circuit breaker opens and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct BreakerSettings {
    /// Failures in a row that open it. 0 switches this condition off.
    pub consecutive_failures: u32,
    /// Share of failures (0 to 1) within `window` that opens it. A share above 1 switches this condition off.
    pub failure_rate: f64,
    /// Calls that `window` must hold before `failure_rate` counts.
    pub minimum_calls: u32,
    /// Time over which the rate is taken.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub window: Duration,
    /// How long it stays open before one request probes, by itself.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub open_for: Duration,
}

/// How the role of a node is read from its row. The row's own `role` word wins, then `node_type`, then the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RoleSettings {
    /// Part of a worker's host name, in any case.
    pub worker_infix: String,
    /// Part of a control-plane node's host name, in any case.
    pub control_plane_infix: String,
    /// `node_type` of a worker; not documented anywhere, so unset.
    pub worker_type: Option<i64>,
    /// `node_type` of a control-plane node; not documented anywhere, so unset.
    pub control_plane_type: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.vpsie.com".to_owned(),
            path_prefixes: PathPrefixes::default(),
            auth_header: AuthHeader::default(),
            token_body: TokenBody::default(),
            token_lifetime: Duration::from_secs(3600),
            token_renew_ahead: Duration::from_secs(300),
            refused_credentials_pause: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            read_attempts: 3,
            read_backoff: Duration::from_millis(200),
            requests_per_minute: 100,
            burst: 50,
            breaker: BreakerSettings::default(),
            roles: RoleSettings::default(),
            vm: VmSettings::default(),
            limit_patterns: [
                "exceeds the allowed limit",
                "quota exceeded",
                "plan does not allow",
                "maximum number of",
                "limit reached",
                "subscription does not allow",
            ]
            .map(str::to_owned)
            .to_vec(),
            stock_patterns: [
                "out of stock",
                "sold out",
                "no capacity",
                "not enough capacity",
                "insufficient capacity",
                "no available node",
            ]
            .map(str::to_owned)
            .to_vec(),
            conflict_patterns: ["same selected size", "already exists"]
                .map(str::to_owned)
                .to_vec(),
            user_agent: concat!("vpsie-autoscaler/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Default for PathPrefixes {
    fn default() -> Self {
        let prefix = "/apps/v2".to_owned();
        Self {
            auth: prefix.clone(),
            kubernetes: prefix.clone(),
            catalogue: prefix.clone(),
            // The only one that any client uses for this route.
            plans: "/api/v2".to_owned(),
            vm: prefix.clone(),
            storage: prefix,
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_rate: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(60),
            open_for: Duration::from_secs(30),
        }
    }
}

impl Default for RoleSettings {
    fn default() -> Self {
        Self {
            worker_infix: "-slave-".to_owned(),
            control_plane_infix: "-master-".to_owned(),
            worker_type: None,
            control_plane_type: None,
        }
    }
}

/// The settings' URL, taken apart once.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    origin: String,
    path: Option<String>,
}

impl Settings {
    /// Says what cannot work, by the name that it has in a file.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let breaker = &self.breaker;
        let rate = breaker.failure_rate;
        let checks = [
            (
                self.requests_per_minute == 0,
                "requestsPerMinute is 0",
                "at least 1",
            ),
            (self.burst == 0, "burst is 0", "at least 1"),
            (self.read_attempts == 0, "readAttempts is 0", "at least 1"),
            (self.request_timeout.is_zero(), "requestTimeout is 0s", "30s"),
            (
                rate.is_nan() || rate <= 0.0,
                "breaker.failureRate is not above 0",
                "0.5, or 2 to switch it off",
            ),
            (breaker.window.is_zero(), "breaker.window is 0s", "60s"),
            (breaker.open_for.is_zero(), "breaker.openFor is 0s", "30s"),
        ];
        match checks.into_iter().find(|(wrong, ..)| *wrong) {
            Some((_, problem, fix)) => Err(Error::Configuration {
                message: format!("the VPSie settings: {problem}; use {fix}"),
            }),
            None => Ok(()),
        }
    }

    /// Takes the base URL apart, or says what is wrong with it.
    pub(crate) fn base(&self) -> Result<Base, Error> {
        let refused = |message: &str| Error::Configuration {
            message: format!("the VPSie URL {:?} {message}", without_user_info(&self.base_url)),
        };
        let uri: Uri = self
            .base_url
            .trim()
            .parse()
            .map_err(|_| refused("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused("needs a scheme and a host, as in https://api.vpsie.com"));
        };
        if scheme != "https" && scheme != "http" {
            return Err(refused("must begin with https://"));
        }
        if authority.as_str().contains('@') {
            return Err(refused("must not contain a user name or password"));
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Base {
            origin: format!("{scheme}://{authority}"),
            path: (!path.is_empty()).then(|| path.to_owned()),
        })
    }

    /// The path prefix of a part of the API, without slashes around it.
    pub(crate) fn prefix<'a>(&'a self, base: &'a Base, family: Family) -> &'a str {
        let own = match family {
            Family::Auth => &self.path_prefixes.auth,
            Family::Kubernetes => &self.path_prefixes.kubernetes,
            Family::Catalogue => &self.path_prefixes.catalogue,
            Family::Plans => &self.path_prefixes.plans,
            Family::Vm => &self.path_prefixes.vm,
            Family::Storage => &self.path_prefixes.storage,
        };
        base.path.as_deref().unwrap_or(own).trim_matches('/')
    }

    /// The full URL of `path` (which begins with a slash) in a part of the API.
    pub(crate) fn url(&self, base: &Base, family: Family, path: &str) -> String {
        format!("{}/{}{path}", base.origin, self.prefix(base, family))
    }
}

fn without_user_info(url: &str) -> String {
    match (url.find("://"), url.find('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
