//! Replies in the API's envelope.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::cloud::No;
use crate::config::Shape;

/// A reply before it is written out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<u64>,
}

impl Reply {
    pub(crate) fn plain(body: Value) -> Self {
        Self {
            status: 200,
            body,
            retry_after: None,
        }
    }

    pub(crate) fn data(data: &Value) -> Self {
        let body = match data {
            Value::Array(rows) => json!({ "error": false, "total": rows.len(), "data": data }),
            _ => json!({ "error": false, "data": data }),
        };
        Self::plain(body)
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = json!({ "error": true, "code": status, "type": false, "message": message });
        Self {
            status,
            body,
            retry_after: None,
        }
    }

    pub(crate) fn no(no: &No, shape: &Shape) -> Self {
        match no {
            No::NotFound if shape.not_found_in_ok => Self::data(&Value::Bool(false)),
            No::NotFound => Self::error(404, "Not found"),
            No::BadRequest(message) => Self::error(400, message),
            No::Limit(message) => Self::error(500, message),
        }
    }

    /// Hides the status, as some versions of the server do.
    pub(crate) fn hidden_in_ok(self, shape: &Shape) -> Self {
        if shape.errors_in_ok {
            Self { status: 200, ..self }
        } else {
            self
        }
    }

    pub(crate) fn write(&self) -> Response<Bytes> {
        let mut response = written(
            self.status,
            "application/json",
            Bytes::from(self.body.to_string()),
        );
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub(crate) fn written(status: u16, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The page that a gateway shows when the server behind it does not answer.
pub(crate) fn gateway_page(status: u16) -> Response<Bytes> {
    let page =
        format!("<html><head><title>{status}</title></head><body>The server is not answering.</body></html>");
    written(status, "text/html", Bytes::from(page))
}
