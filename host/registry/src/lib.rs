//! Components in OCI registries, and files behind addresses: bounded downloads, pushes, credentials.
//!
//! The author's desk pushes with it, and the controller pulls. The part of the distribution API that both need is six
//! requests, and each of them is to be bounded and to fail in words that help: a client library would be the larger part.
//!
//! *Invariant:* no address and no secret stands in an error or a `Debug`. Both may carry passwords, and statuses are read
//! by many.

mod artifact;
mod auth;
mod credentials;
mod error;
mod http;
mod reference;
mod registry;

pub use artifact::{Artifact, Said, component_of};
pub use credentials::Credentials;
pub use error::Error;
pub use http::{Bounds, Http, LARGEST};
pub use reference::Reference;
pub use registry::{Pushed, Registry};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Bytes whose digest was named beforehand; `what` they are stands in the error.
///
/// # Errors
/// Where they are others.
pub(crate) fn checked(bytes: Vec<u8>, wanted: &str, what: &'static str) -> Result<Vec<u8>, Error> {
    let found = sha256(&bytes);
    if found == wanted {
        return Ok(bytes);
    }
    Err(Error::Digest {
        what,
        found,
        wanted: wanted.to_owned(),
    })
}
