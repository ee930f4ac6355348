//! What a VM is told at its first start: the group's template with its variables filled in. Pure.

use std::collections::BTreeMap;
use std::fmt;

/// What the variables of a template may be.
pub(crate) struct Values<'a> {
    /// By name.
    pub(crate) plain: BTreeMap<&'static str, String>,
    /// A key of the Secret; none where it has no such key.
    pub(crate) secret: &'a dyn Fn(&str) -> Option<String>,
}

/// Names of the variables that are no secrets.
pub(crate) const NAMES: [&str; 8] = [
    "datacenter",
    "hostname",
    "kubernetesVersion",
    "labels",
    "namespace",
    "nodeGroup",
    "offering",
    "taints",
];

/// Why a template cannot be filled in. Never quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    Unclosed { line: usize },
    Unknown { name: String },
    NoKey { key: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed { line } => write!(
                f,
                "line {line} opens {{{{ without closing it; write {{{{ open }}}} where two braces are meant"
            ),
            Self::Unknown { name } => write!(
                f,
                "there is no variable {name:?}; there are {} and secret.KEY, and {{{{ open }}}} for two opening braces",
                NAMES.join(", ")
            ),
            Self::NoKey { key } => write!(
                f,
                "the Secret has no key {key:?}, or it is empty; add it to the Secret"
            ),
        }
    }
}

/// One piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Open,
    Plain(&'a str),
    Secret(&'a str),
}

/// Whether a template names only what there is.
pub(crate) fn check(template: &str) -> Result<(), Problem> {
    pieces(template).map(drop)
}

/// Whether a template asks for the Secret.
pub(crate) fn needs_secret(template: &str) -> bool {
    pieces(template).is_ok_and(|pieces| pieces.iter().any(|piece| matches!(piece, Piece::Secret(_))))
}

/// Fills a template in.
pub(crate) fn render(template: &str, values: &Values<'_>) -> Result<String, Problem> {
    let mut text = String::with_capacity(template.len());
    for piece in pieces(template)? {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Open => text.push_str("{{"),
            Piece::Plain(name) => text.push_str(values.plain.get(name).map_or("", String::as_str)),
            Piece::Secret(key) => {
                let found = (values.secret)(key).filter(|value| !value.is_empty());
                text.push_str(&found.ok_or_else(|| Problem::NoKey { key: key.to_owned() })?);
            }
        }
    }
    Ok(text)
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, Problem> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(begin) = rest.find("{{") {
        pieces.push(Piece::Text(&rest[..begin]));
        let inside = &rest[begin + 2..];
        let unclosed = || Problem::Unclosed {
            line: template[..template.len() - inside.len()].lines().count(),
        };
        let end = inside.find("}}").ok_or_else(unclosed)?;
        let name = inside[..end].trim();
        pieces.push(match name.strip_prefix("secret.") {
            Some(key) if !key.is_empty() => Piece::Secret(key),
            _ if name == "open" => Piece::Open,
            _ if NAMES.contains(&name) => Piece::Plain(name),
            // Whoever opens a brace and forgets it gets the next line as a name.
            _ if name.contains('\n') => return Err(unclosed()),
            _ => {
                return Err(Problem::Unknown {
                    name: name.to_owned(),
                });
            }
        });
        rest = &inside[end + 2..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_in_or_its_fault_is_named() {
        let values = Values {
            plain: [("hostname", "web-1".to_owned()), ("labels", "a=b,c=".to_owned())].into(),
            secret: &|key| match key {
                "token" => Some("abc.def".to_owned()),
                "empty" => Some(String::new()),
                _ => None,
            },
        };
        for (template, expected) in [
            ("", Ok("")),
            ("#!/bin/sh\necho ${HOME} }}", Ok("#!/bin/sh\necho ${HOME} }}")),
            (
                "join {{ secret.token }} as {{hostname}}",
                Ok("join abc.def as web-1"),
            ),
            ("{{ hostname }}{{labels}}", Ok("web-1a=b,c=")),
            ("{{ taints }}", Ok("")),
            ("{{ open }} jinja }}", Ok("{{ jinja }}")),
            (
                "{{ hostnam }}",
                Err("no variable \"hostnam\"; there are datacenter, hostname"),
            ),
            ("{{ secret. }}", Err("no variable \"secret.\"")),
            ("{{ secret.tokne }}", Err("no key \"tokne\"")),
            ("{{ secret.empty }}", Err("no key \"empty\"")),
            ("a\nb {{ hostname", Err("line 2 opens {{ without closing it")),
            ("a {{ hostname\nb }} c", Err("line 1 opens {{")),
            ("a {{ hostname\nb {{ hostname }}", Err("line 1 opens {{")),
        ] {
            match (render(template, &values), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{template}"),
                (Err(problem), Err(words)) => {
                    assert!(problem.to_string().contains(words), "{template}: {problem}");
                }
                (got, expected) => panic!("{template}: {got:?}, and not {expected:?}"),
            }
        }
        assert!(needs_secret("{{ secret.a }}") && !needs_secret("{{ hostname }}"));
        assert_eq!(
            check("{{ secret.unknown }}"),
            Ok(()),
            "what the Secret holds shows when it is read"
        );
    }
}
