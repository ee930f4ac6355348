//! The words of a conversation: requests, and a transcript without what differs from run to run.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};

/// How long a case waits for what a controller does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
}

impl Answer {
    pub fn version(&self) -> String {
        self.body["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn uid(&self) -> String {
        self.body["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn name(&self) -> String {
        self.body["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// One conversation in a namespace of its own.
pub struct Session {
    client: Client,
    /// The namespace of this case.
    pub namespace: String,
    steps: Vec<Value>,
    /// Uids and revisions seen so far: they are masked inside messages.
    seen: Vec<(String, &'static str)>,
}

impl Session {
    pub(super) async fn begin(client: Client, case: &str) -> Result<Self> {
        let namespace = format!("conformance-{}", case.replace('_', "-"));
        let mut session = Self {
            client,
            namespace: namespace.clone(),
            steps: Vec::new(),
            seen: Vec::new(),
        };
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let made = session.post("/api/v1/namespaces", body).await?;
        if made.code != 201 {
            bail!("creating the namespace: {}", made.body);
        }
        // Pods are refused until the namespace has its default account, which the real one gets a little later.
        let accounts = session.core("serviceaccounts");
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        session.post(&accounts, account).await?;
        Ok(session)
    }

    pub(super) fn transcript(self) -> Value {
        Value::Array(self.steps)
    }

    /// The path of a namespaced core resource.
    pub fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of a namespaced resource of a group.
    pub fn group(&self, group_version: &str, rest: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{rest}", self.namespace)
    }

    /// Sends anything.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        self.send_accepting(method, path, content_type, body, "application/json")
            .await
    }

    pub async fn send_accepting(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Value>,
        accept: &str,
    ) -> Result<Answer> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, accept)
            .header(http::header::USER_AGENT, "conformance/1")
            .body(Body::from(bytes))?;
        let response = self
            .client
            .send(request)
            .await
            .with_context(|| format!("asking for {path}"))?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await?;
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).trim().to_owned()));
        let answer = Answer { code, body };
        for (value, mask) in [(answer.uid(), "<uid>"), (answer.version(), "<version>")] {
            if !value.is_empty() && !self.seen.iter().any(|(known, _)| *known == value) {
                self.seen.push((value, mask));
            }
        }
        Ok(answer)
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, "application/json", None).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, "application/json", Some(body))
            .await
    }

    pub async fn put(&mut self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::PUT, path, "application/json", Some(body)).await
    }

    pub async fn delete(&mut self, path: &str, options: Option<Value>) -> Result<Answer> {
        self.send(Method::DELETE, path, "application/json", options).await
    }

    /// A PATCH of the kind `json`, `merge` or `strategic-merge`.
    pub async fn patch(&mut self, kind: &str, path: &str, body: Value) -> Result<Answer> {
        let content_type = format!("application/{kind}-patch+json");
        self.send(Method::PATCH, path, &content_type, Some(body)).await
    }

    /// A server-side apply.
    pub async fn apply(&mut self, manager: &str, path: &str, body: Value) -> Result<Answer> {
        let path = format!("{path}?fieldManager={manager}");
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", Some(body))
            .await
    }

    /// A server-side apply that takes over fields of others.
    pub async fn force_apply(&mut self, manager: &str, path: &str, body: Value) -> Result<Answer> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", Some(body))
            .await
    }

    /// The events of a watch until there are `count` of them.
    pub async fn watch(&mut self, path: &str, count: usize) -> Result<Vec<Value>> {
        let request = Request::get(path)
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())?;
        let stream = self.client.request_stream(request).await?;
        let mut lines = stream.lines();
        let mut events = Vec::new();
        while events.len() < count {
            let line = tokio::time::timeout(PATIENCE, lines.try_next()).await;
            match line.with_context(|| format!("{} of {count} events on {path}", events.len()))?? {
                Some(line) => events.push(serde_json::from_str(&line)?),
                None => break,
            }
        }
        Ok(events)
    }

    /// Asks again until the answer is as wanted.
    pub async fn until(
        &mut self,
        path: &str,
        what: &str,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            if tokio::time::Instant::now() > deadline {
                bail!("waited for {what}: {} {}", answer.code, answer.body);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes down an answer: a refusal as a whole, an object by the named fields (dotted).
    pub fn note(&mut self, step: &str, answer: &Answer, fields: &[&str]) {
        let mut entry = json!({"step": step, "code": answer.code});
        if answer.code >= 400 || answer.body["kind"] == "Status" {
            let mut status = answer.body.clone();
            if let Some(map) = status.as_object_mut() {
                map.retain(|key, _| key != "metadata" && key != "apiVersion");
                sort_causes(map);
            }
            entry["answer"] = status;
        } else {
            let mut shown = Map::new();
            for field in fields {
                let value = field
                    .split('.')
                    .fold(&answer.body, |value, key| match key.parse::<usize>() {
                        Ok(index) if value.is_array() => &value[index],
                        _ => &value[key],
                    });
                shown.insert((*field).to_owned(), value.clone());
            }
            entry["answer"] = Value::Object(shown);
        }
        let entry = self.masked(entry, "");
        self.steps.push(entry);
    }

    /// Writes down any value.
    #[expect(clippy::needless_pass_by_value, reason = "cases write their values in place")]
    pub fn note_value(&mut self, step: &str, value: Value) {
        let entry = self.masked(json!({"step": step, "value": value}), "");
        self.steps.push(entry);
    }

    fn masked(&self, value: Value, key: &str) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .filter(|(name, _)| !(key == "metadata" && name == "managedFields"))
                    .map(|(name, value)| {
                        let value = self.masked(value, &name);
                        (name, value)
                    })
                    .collect(),
            ),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.masked(item, "")).collect())
            }
            Value::String(text) => Value::String(self.masked_text(&text, key)),
            other => other,
        }
    }

    fn masked_text(&self, text: &str, key: &str) -> String {
        match key {
            "uid" => return "<uid>".to_owned(),
            "resourceVersion" => return "<version>".to_owned(),
            _ if is_time(text) => return "<time>".to_owned(),
            _ => {}
        }
        let mut text = text.replace(&self.namespace, "<namespace>");
        for (value, mask) in &self.seen {
            // Revisions are short numbers: only those in parentheses are meant.
            if *mask == "<version>" {
                text = text.replace(&format!("({value})"), "(<version>)");
            } else {
                text = text.replace(value.as_str(), mask);
            }
        }
        mask_times(&text)
    }
}

fn sort_causes(status: &mut Map<String, Value>) {
    let causes = status
        .get_mut("details")
        .and_then(|details| details.get_mut("causes"));
    if let Some(causes) = causes.and_then(Value::as_array_mut) {
        // Some are told twice by the real server, and the order of several is left to chance there.
        causes.sort_by_key(ToString::to_string);
        causes.dedup();
        if status["reason"] == "Invalid"
            && let Some(message) = status.get_mut("message")
        {
            let start = message
                .as_str()
                .and_then(|text| text.split(" is invalid").next())
                .unwrap_or_default();
            *message = json!(start);
        }
    }
}

fn is_time(text: &str) -> bool {
    text.len() >= 20
        && text.ends_with('Z')
        && text.get(10..11) == Some("T")
        && text[..4].chars().all(|c| c.is_ascii_digit())
}

/// Masks a time at the end of words such as `at 2026-01-01T00:00:00Z:`.
fn mask_times(text: &str) -> String {
    text.split(' ')
        .map(|word| match word.split_once('Z') {
            Some((head, tail)) if is_time(&format!("{head}Z")) => format!("<time>{tail}"),
            _ => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}
