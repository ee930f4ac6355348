//! One repository of a registry: manifests and blobs by digest, both ways.

use crate::artifact::{Artifact, MANIFEST, MANIFEST_BYTES};
use crate::auth::Challenge;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::http::{Http, Request, accept, address};
use crate::reference::Reference;
use crate::{checked, sha256};
use bytes::Bytes;
use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::SecretString;
use serde::Deserialize;

/// What a registry says in an error is some lines.
const ERROR_BYTES: usize = 64 << 10;
const BYTES: &str = "application/octet-stream";

/// A repository, and who asks for it.
pub struct Registry {
    http: Http,
    base: Url,
    is_local: bool,
    credentials: Option<Credentials>,
    /// What the last challenge was met with.
    authorization: Option<SecretString>,
    met: Option<Challenge>,
}

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest, in hexadecimal digits.
    pub digest: String,
    /// Blobs that the registry did not have yet.
    pub uploaded: usize,
}

/// The errors of the distribution API.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorCode>,
}

#[derive(Deserialize)]
struct ErrorCode {
    code: String,
}

impl Registry {
    /// Only a registry on this machine is spoken to without TLS, and only where `plain_http` says so.
    ///
    /// # Errors
    /// Where the reference makes no address.
    pub fn new(
        http: Http,
        reference: &Reference,
        plain_http: bool,
        credentials: Option<Credentials>,
    ) -> Result<Self, Error> {
        Ok(Self {
            http,
            base: address(&format!("{}/", reference.base(plain_http)))?,
            is_local: reference.is_local(),
            credentials,
            authorization: None,
            met: None,
        })
    }

    /// The manifest of this digest.
    ///
    /// # Errors
    /// Where it is not to be had, or the registry sends another.
    pub async fn manifest(&mut self, digest: &str) -> Result<Vec<u8>, Error> {
        let mut request = Request::get(self.at(&format!("manifests/sha256:{digest}"))?);
        request.accept = Some(MANIFEST);
        let bytes = self.fetch(&request, MANIFEST_BYTES).await?;
        checked(bytes, digest, "the manifest")
    }

    /// The component of this digest.
    ///
    /// # Errors
    /// Where it is not to be had, or the registry sends another.
    pub async fn component(&mut self, digest: &str) -> Result<Vec<u8>, Error> {
        let request = Request::get(self.at(&format!("blobs/sha256:{digest}"))?);
        let limit = self.http.bounds().bytes;
        let bytes = self.fetch(&request, limit).await?;
        checked(bytes, digest, "the layer")
    }

    /// Puts an artifact there, and a tag on it. What is there already is not sent again.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub async fn push(&mut self, artifact: &Artifact, tag: Option<&str>) -> Result<Pushed, Error> {
        let mut uploaded = 0;
        for blob in [&artifact.component, &artifact.config] {
            uploaded += usize::from(self.upload(blob).await?);
        }
        let digest = artifact.digest();
        let name = tag.map_or_else(|| format!("sha256:{digest}"), str::to_owned);
        let request = Request {
            method: Method::PUT,
            url: self.at(&format!("manifests/{name}"))?,
            accept: None,
            body: Some((MANIFEST, artifact.manifest.clone())),
        };
        let response = self.send(&request).await?;
        self.taken(response).await?;
        Ok(Pushed { digest, uploaded })
    }

    /// Whether it had to be sent.
    async fn upload(&mut self, blob: &Bytes) -> Result<bool, Error> {
        let digest = sha256(blob);
        let look = Request {
            method: Method::HEAD,
            url: self.at(&format!("blobs/sha256:{digest}"))?,
            accept: None,
            body: None,
        };
        let there = self.send(&look).await?;
        match accept(there.status(), self.credentials.is_some()) {
            Ok(()) => return Ok(false),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        let begin = Request {
            method: Method::POST,
            url: self.at("blobs/uploads/")?,
            accept: None,
            body: Some((BYTES, Bytes::new())),
        };
        let response = self.send(&begin).await?;
        let place = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let place = place.and_then(|place| self.base.join(place).ok());
        self.taken(response).await?;
        let mut url = place.ok_or_else(|| {
            Error::Artifact(
                "the registry does not say where to upload; is it one of OCI artifacts?".to_owned(),
            )
        })?;
        url.query_pairs_mut()
            .append_pair("digest", &format!("sha256:{digest}"));
        let put = Request {
            method: Method::PUT,
            url,
            accept: None,
            body: Some((BYTES, blob.clone())),
        };
        let response = self.send(&put).await?;
        self.taken(response).await?;
        Ok(true)
    }

    fn at(&self, path: &str) -> Result<Url, Error> {
        // `join` would take the colon of a digest for the end of a scheme.
        address(&format!("{}{path}", self.base))
    }

    async fn fetch(&mut self, request: &Request<'_>, limit: usize) -> Result<Vec<u8>, Error> {
        let response = self.send(request).await?;
        accept(response.status(), self.credentials.is_some())?;
        self.http.body(response, limit).await
    }

    /// Sends a request, and once more where the registry wants to know first who asks. A token may be for reading
    /// only: then the first request that writes is challenged anew.
    async fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        // Uploads may go to another host: what the registry knows us by is not that host's business.
        let ours = request.url.origin() == self.base.origin();
        let authorization = self.authorization.as_ref().filter(|_| ours);
        let response = self.http.send(request, authorization).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !ours {
            return Ok(response);
        }
        let challenge = Challenge::read(response.headers());
        let Some(challenge) = challenge.filter(|challenge| self.met.as_ref() != Some(challenge)) else {
            return Ok(response);
        };
        let credentials = self.credentials.as_ref();
        let Some(met) = challenge.meet(&self.http, credentials, self.is_local).await? else {
            return Ok(response);
        };
        self.met = Some(challenge);
        let authorization = self.authorization.insert(met);
        self.http.send(request, Some(authorization)).await
    }

    /// Whether the registry took what was handed over, or why not, by its own word.
    async fn taken(&self, response: Response) -> Result<(), Error> {
        let status = response.status();
        let sorted = accept(status, self.credentials.is_some());
        let Err(Error::NotFound | Error::Status(_)) = sorted else {
            return sorted;
        };
        let body = self.http.body(response, ERROR_BYTES).await.unwrap_or_default();
        let errors = serde_json::from_slice::<Errors>(&body).ok();
        let code = errors.and_then(|errors| errors.errors.into_iter().next());
        let plain = |code: &ErrorCode| {
            code.code
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        let code = code
            .filter(plain)
            .map_or_else(|| "without a word".to_owned(), |code| code.code);
        Err(Error::Refused {
            status: status.as_u16(),
            code,
        })
    }
}
