//! What the client reports while it works. The controllers turn it into metrics; tests count with it.

use std::time::Duration;

use crate::auth::CredentialsStatus;
use crate::breaker::BreakerState;
use crate::family::Family;

/// Receiver of the client's measurements. Every method does nothing unless implemented.
/// Calls come from the task that makes the request: keep them short.
pub trait Observer: Send + Sync {
    /// A request has ended. `endpoint` is a fixed route name, `status` is absent when no reply came.
    fn request(&self, method: &'static str, endpoint: &'static str, status: Option<u16>, duration: Duration) {
        let _ = (method, endpoint, status, duration);
    }

    /// A request failed; `error_type` is [`crate::Error::error_type`].
    fn error(&self, method: &'static str, error_type: &'static str) {
        let _ = (method, error_type);
    }

    /// The circuit breaker of a part of the API changed its state.
    fn breaker(&self, family: Family, from: BreakerState, to: BreakerState) {
        let _ = (family, from, to);
    }

    /// A request waited for the client's own rate limit.
    fn rate_limit_wait(&self, method: &'static str, wait: Duration) {
        let _ = (method, wait);
    }

    /// What is known about the credentials changed.
    fn credentials(&self, status: &CredentialsStatus) {
        let _ = status;
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
