//! One request, understood: which verb on which resource, with which options.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use serde_json::Value;

use crate::error::ApiError;
use crate::resources::ResourceType;

/// What a request asks for, in the words of the API server's own metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One object.
    Get,
    /// A collection.
    List,
    /// The changes of a collection.
    Watch,
    /// POST, also on a subresource.
    Create,
    /// PUT.
    Update,
    /// PATCH of any kind, server-side apply included.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
}

/// The parameters after the question mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode_component(key), decode_component(value))
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        self.get(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::bad_request(format!("invalid value for {key}: {text:?} is not a number"))
                })
            })
            .transpose()
    }
}

/// Undoes percent-encoding and the `+` of forms.
pub(crate) fn decode_component(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes
            .get(index + 1..index + 3)
            .filter(|_| bytes[index] == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = hex {
            decoded.push(byte);
            index += 3;
        } else {
            decoded.push(if bytes[index] == b'+' { b' ' } else { bytes[index] });
            index += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Where a path points, before the resource type is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Discovery and health: everything that is not a resource.
    Other(String),
    /// A collection, an object or a subresource.
    Resource {
        group: String,
        version: String,
        namespace: String,
        plural: String,
        name: Option<String>,
        subresource: Option<String>,
    },
}

impl Target {
    pub(crate) fn parse(path: &str) -> Self {
        let segments: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(decode_component)
            .collect();
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match words.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Self::Other(path.trim_end_matches('/').to_owned()),
        };
        let (namespace, rest) = match rest {
            // `namespaces/x/status` is a subresource of the namespace, not a collection inside it.
            ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", rest),
        };
        let owned = |index: usize| rest.get(index).map(|&segment| segment.to_owned());
        if rest.len() > 3 {
            return Self::Other(path.to_owned());
        }
        Self::Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            plural: owned(0).unwrap_or_default(),
            name: owned(1),
            subresource: owned(2),
        }
    }
}

/// A request on a known resource.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) resource: Arc<ResourceType>,
    /// Empty for cluster-scoped resources and for requests over all namespaces.
    pub(crate) namespace: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    pub(crate) query: Query,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    /// Only metadata is wanted (`as=PartialObjectMetadata`).
    pub(crate) metadata_only: bool,
    /// Who writes, for `managedFields`.
    pub(crate) manager: String,
}

impl Call {
    pub(crate) fn verb(method: &Method, named: bool, query: &Query) -> Option<Verb> {
        Some(match *method {
            Method::GET if query.flag("watch") => Verb::Watch,
            Method::GET if named => Verb::Get,
            Method::GET => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT if named => Verb::Update,
            Method::PATCH if named => Verb::Patch,
            Method::DELETE if named => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            _ => return None,
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.name().to_owned())
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.query.get("dryRun") == Some("All")
    }

    /// The body as JSON; an empty body reads as `null`.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {error}",
                self.resource.kind
            ))
        })
    }
}

/// The field manager: named by the caller, else the first word of its user agent.
pub(crate) fn manager(parts: &Parts, query: &Query) -> String {
    if let Some(manager) = query.get("fieldManager") {
        return manager.to_owned();
    }
    parts
        .headers
        .get(http::header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .and_then(|agent| agent.split('/').next())
        .filter(|agent| !agent.is_empty())
        .unwrap_or("unknown")
        .to_owned()
}

/// A header as text, empty when absent.
pub(crate) fn header(parts: &Parts, name: &http::HeaderName) -> String {
    parts
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Query, Target};

    fn target(path: &str) -> Option<(String, String, String, String, String)> {
        match Target::parse(path) {
            Target::Other(_) => None,
            Target::Resource {
                group,
                namespace,
                plural,
                name,
                subresource,
                ..
            } => Some((
                group,
                namespace,
                plural,
                name.unwrap_or_default(),
                subresource.unwrap_or_default(),
            )),
        }
    }

    #[test]
    fn paths_name_resources() {
        for (path, expected) in [
            ("/api/v1/pods", Some(("", "", "pods", "", ""))),
            (
                "/api/v1/namespaces/a/pods/b/eviction",
                Some(("", "a", "pods", "b", "eviction")),
            ),
            ("/api/v1/namespaces/a", Some(("", "", "namespaces", "a", ""))),
            (
                "/api/v1/namespaces/a/finalize",
                Some(("", "", "namespaces", "a", "finalize")),
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/b",
                Some(("apps", "a", "deployments", "b", "")),
            ),
            ("/apis/apps/v1", None),
            ("/api", None),
            ("/version", None),
        ] {
            let expected = expected.map(|(g, n, p, m, s)| {
                (
                    g.to_owned(),
                    n.to_owned(),
                    p.to_owned(),
                    m.to_owned(),
                    s.to_owned(),
                )
            });
            assert_eq!(target(path), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2Cc+in+(d)&watch=true&limit=x&");
        assert_eq!(query.get("labelSelector"), Some("a=b,c in (d)"));
        assert!(query.flag("watch"));
        assert!(query.number("limit").is_err());
        assert_eq!(query.get("continue"), None);
    }
}
