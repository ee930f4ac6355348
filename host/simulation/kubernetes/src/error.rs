//! The failures of an API server, as the `Status` objects that its clients parse.
//!
//! Every refusal of this crate is one of these: the HTTP code, the reason word and the wording follow the real
//! server, because controllers branch on code and reason, and people read the message.

use http::StatusCode;
use serde_json::{Value, json};

use crate::resources::ResourceType;

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: Option<String>,
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub(crate) code: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Box<Details>>,
}

/// What `Status.details` says about a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) uid: String,
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after_seconds: u32,
}

impl Details {
    fn of(resource: &ResourceType, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            ..Self::default()
        }
    }
}

impl ApiError {
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// An error that the real server did not foresee: a code and a sentence, without a reason.
    pub(crate) fn bare(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// No resource type answers at this path.
    pub(crate) fn no_such_path() -> Self {
        let mut error = Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        );
        error.details = Some(Box::default());
        error
    }

    pub(crate) fn method_not_allowed(resource: &ResourceType) -> Self {
        let mut error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        error.details = Some(Box::new(Details::of(resource, "")));
        error
    }

    pub(crate) fn not_found(resource: &ResourceType, name: &str) -> Self {
        let mut error = Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("{} \"{name}\" not found", resource.qualified()),
        );
        error.details = Some(Box::new(Details::of(resource, name)));
        error
    }

    pub(crate) fn already_exists(resource: &ResourceType, name: &str) -> Self {
        let mut error = Self::new(
            StatusCode::CONFLICT,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", resource.qualified()),
        );
        error.details = Some(Box::new(Details::of(resource, name)));
        error
    }

    pub(crate) fn conflict(resource: &ResourceType, name: &str, why: impl std::fmt::Display) -> Self {
        let mut error = Self::new(
            StatusCode::CONFLICT,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {} \"{name}\": {why}",
                resource.qualified()
            ),
        );
        error.details = Some(Box::new(Details::of(resource, name)));
        error
    }

    /// The object has a newer resourceVersion than the one that was sent.
    pub(crate) fn stale(resource: &ResourceType, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn forbidden(resource: &ResourceType, name: &str, why: impl std::fmt::Display) -> Self {
        let mut error = Self::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            format!("{} \"{name}\" is forbidden: {why}", resource.qualified()),
        );
        error.details = Some(Box::new(Details::of(resource, name)));
        error
    }

    pub(crate) fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        error.details = Some(Box::new(Details {
            retry_after_seconds,
            ..Details::default()
        }));
        error
    }

    /// A watch or a page asked for a revision that is no longer held.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let mut error = Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "415: Unsupported Media Type",
        );
        error.details = Some(Box::default());
        error
    }

    /// An update without the revision that the resource demands. The real server names the plural here.
    pub(crate) fn revision_required(resource: &ResourceType, name: &str) -> Self {
        let error =
            FieldError::invalid_shown("metadata.resourceVersion", "0", "must be specified for an update");
        let mut refused = Self::invalid(resource, name, vec![error]);
        let kind = refused.message.split(' ').next().unwrap_or_default().to_owned();
        refused.message = refused.message.replacen(&kind, &resource.qualified(), 1);
        if let Some(details) = &mut refused.details {
            details.kind.clone_from(&resource.plural);
        }
        refused
    }

    /// A precondition of a deletion does not hold. The real server names the kind here.
    pub(crate) fn precondition(resource: &ResourceType, name: &str, why: impl std::fmt::Display) -> Self {
        let kind = if resource.group.is_empty() {
            resource.kind.clone()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let mut error = Self::conflict(resource, name, why);
        error.message = error.message.replacen(&resource.qualified(), &kind, 1);
        if let Some(details) = &mut error.details {
            details.kind.clone_from(&resource.kind);
        }
        error
    }

    /// The object breaks validation: one cause per field.
    pub(crate) fn invalid(resource: &ResourceType, name: &str, errors: Vec<FieldError>) -> Self {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let list = match text.as_slice() {
            [only] => only.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified_kind = if resource.group.is_empty() {
            resource.kind.clone()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("{qualified_kind} \"{name}\" is invalid: {list}"),
        );
        error.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            causes: errors.into_iter().map(FieldError::into_cause).collect(),
            ..Details::default()
        }));
        error
    }

    pub(crate) fn with_cause(
        mut self,
        reason: &str,
        message: impl Into<String>,
        field: Option<String>,
    ) -> Self {
        self.details.get_or_insert_with(Box::default).causes.push(Cause {
            reason: reason.to_owned(),
            message: message.into(),
            field,
        });
        self
    }

    /// The body of the answer.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            let mut object = serde_json::Map::new();
            for (key, text) in [
                ("name", &details.name),
                ("group", &details.group),
                ("kind", &details.kind),
                ("uid", &details.uid),
            ] {
                if !text.is_empty() {
                    object.insert(key.to_owned(), json!(text));
                }
            }
            if !details.causes.is_empty() {
                let causes: Vec<Value> = details.causes.iter().map(cause_json).collect();
                object.insert("causes".to_owned(), Value::Array(causes));
            }
            if details.retry_after_seconds > 0 {
                object.insert("retryAfterSeconds".to_owned(), json!(details.retry_after_seconds));
            }
            status["details"] = Value::Object(object);
        }
        status
    }
}

fn cause_json(cause: &Cause) -> Value {
    let mut object = serde_json::Map::new();
    if !cause.reason.is_empty() {
        object.insert("reason".to_owned(), json!(cause.reason));
    }
    if !cause.message.is_empty() {
        object.insert("message".to_owned(), json!(cause.message));
    }
    if let Some(field) = &cause.field {
        object.insert("field".to_owned(), json!(field));
    }
    Value::Object(object)
}

/// One broken field: where, which kind of mistake, and the text after the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.shown_field(), self.detail)
    }
}

impl FieldError {
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let detail = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self {
            field: field.into(),
            reason: "FieldValueRequired",
            detail,
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: impl std::fmt::Display) -> Self {
        Self::invalid_shown(field, &shown(value), detail)
    }

    /// As [`FieldError::invalid`], for a value that is shown in a form of its own.
    pub(crate) fn invalid_shown(
        field: impl Into<String>,
        shown: &str,
        detail: impl std::fmt::Display,
    ) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueInvalid",
            detail: format!("Invalid value: {shown}: {detail}"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueForbidden",
            detail: format!("Forbidden: {detail}"),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        Self {
            field: field.into(),
            reason: "FieldValueNotSupported",
            detail: format!(
                "Unsupported value: {}: supported values: {}",
                shown(value),
                quoted.join(", ")
            ),
        }
    }

    pub(crate) fn type_invalid(
        field: impl Into<String>,
        shown: &str,
        detail: impl std::fmt::Display,
    ) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueTypeInvalid",
            detail: format!("Invalid value: {shown}: {detail}"),
        }
    }

    pub(crate) fn too_long(field: impl Into<String>, max: u64) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueTooLong",
            detail: format!("Too long: may not be more than {max} bytes"),
        }
    }

    pub(crate) fn too_many(field: impl Into<String>, actual: usize, max: u64) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueTooMany",
            detail: format!("Too many: {actual}: must have at most {max} items"),
        }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueDuplicate",
            detail: format!("Duplicate value: {}", shown(value)),
        }
    }

    fn shown_field(&self) -> &str {
        if self.field.is_empty() {
            "<nil>"
        } else {
            &self.field
        }
    }

    fn into_cause(self) -> Cause {
        let field = self.shown_field().to_owned();
        Cause {
            reason: self.reason.to_owned(),
            message: self.detail,
            field: Some(field),
        }
    }
}

/// A value as the server prints it inside an error: strings quoted, containers as JSON.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}
