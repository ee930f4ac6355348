//! Carries the VPSie client's requests to a fake VPSie in the same process.

use async_trait::async_trait;
use bytes::Bytes;
use fake_vpsie::FakeVpsie;
use http::{Request, Response};
use std::sync::Arc;
use std::time::Duration;
use vpsie_client::{Transport, TransportError};

/// As the HTTP transport waits for a reply.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A transport without a network; delays and faults are those of the fake.
pub struct InProcess(pub Arc<FakeVpsie>);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        match tokio::time::timeout(TIMEOUT, self.0.call(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(dropped)) => Err(TransportError::new(
                "the connection broke",
                dropped.reached,
                false,
            )),
            Err(elapsed) => Err(TransportError::new(elapsed, true, true)),
        }
    }
}
