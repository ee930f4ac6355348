//! `registry/repository:tag@sha256:digest`, the tag or the digest as the case may be.

use crate::error::Error;

/// Where an artifact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    /// Hexadecimal digits.
    digest: Option<String>,
}

impl Reference {
    /// # Errors
    /// What is missing, or has letters that it must not have.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => (name, Some(digest)),
        };
        let (registry, path) = name
            .split_once('/')
            .filter(|(registry, _)| registry.contains(['.', ':']) || *registry == "localhost")
            .ok_or(Error::Reference(
                "no registry; begin with its host: registry.example/policy@sha256:…",
            ))?;
        let host =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
        if !registry.bytes().all(host) {
            return Err(Error::Reference(
                "the registry is not a host with or without a port",
            ));
        }
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/');
        let mut names = repository.split('/');
        if !repository.bytes().all(plain) || names.any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(Error::Reference(
                "the repository's name has other letters than a-z, 0-9, '.', '_', '-' and '/'",
            ));
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let of_tag = |tag: &&str| {
            tag.len() <= 128
                && tag.bytes().next().is_some_and(word)
                && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        };
        if tag.is_some_and(|tag| !of_tag(&tag)) {
            return Err(Error::Reference(
                "the tag has other letters than a-z, A-Z, 0-9, '.', '_' and '-', or begins with '.' or '-'",
            ));
        }
        let digits = digest.map(|digest| {
            let digits = digest.strip_prefix("sha256:").filter(|digits| is_sha256(digits));
            digits.map(str::to_owned).ok_or(Error::Reference(
                "the digest is not sha256: and 64 hexadecimal digits in lower case",
            ))
        });
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digits.transpose()?,
        })
    }

    /// The digest of an artifact that is to be pulled. A tag beside it says nothing.
    ///
    /// # Errors
    /// Where there is none: a tag alone can change.
    pub fn digest(&self) -> Result<&str, Error> {
        let digest = self.digest.as_deref();
        digest.ok_or(Error::Reference(
            "no digest; write registry.example/policy@sha256:…",
        ))
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Host and port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The reference by which a ScalingPolicy names an artifact of this repository.
    pub fn pinned(&self, digest: &str) -> String {
        format!("{}/{}@sha256:{digest}", self.registry, self.repository)
    }

    /// Whether the registry is on this machine. Only such a one is ever spoken to without TLS.
    pub fn is_local(&self) -> bool {
        let host = self
            .registry
            .rsplit_once(':')
            .map_or(&*self.registry, |(host, _)| host);
        matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    }

    pub(crate) fn base(&self, plain_http: bool) -> String {
        let scheme = if plain_http && self.is_local() {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://{}/v2/{}", self.registry, self.repository)
    }
}

/// Whether these are the hexadecimal digits of a SHA-256, as OCI writes them.
pub(crate) fn is_sha256(digits: &str) -> bool {
    digits.len() == 64
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_registry_repository_and_what_of_it() {
        let digest = format!("@sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("r.example/p", Ok("https://r.example/v2/p")),
            (
                "r.example:5000/team/p:1.0",
                Ok("https://r.example:5000/v2/team/p"),
            ),
            ("127.0.0.1:5000/p", Ok("http://127.0.0.1:5000/v2/p")),
            ("localhost/p", Ok("http://localhost/v2/p")),
            ("policy", Err("no registry")),
            ("team/policy", Err("no registry")),
            ("user@r.example/p", Err("no registry")),
            ("r.example?x/p", Err("the registry is not")),
            ("r.example/../p", Err("the repository's name")),
            ("r.example/p?x", Err("the repository's name")),
            ("r.example/P", Err("the repository's name")),
            ("r.example/p:", Err("the tag")),
            ("r.example/p:-x", Err("the tag")),
            ("r.example/p:a/b", Err("the tag")),
        ] {
            for text in [text.to_owned(), format!("{text}{digest}")] {
                let got = Reference::parse(&text).map(|reference| reference.base(true));
                match expected {
                    Ok(base) => assert_eq!(got.as_deref().ok(), Some(base), "{text}: {got:?}"),
                    Err(part) => assert!(got.is_err_and(|error| error.to_string().contains(part)), "{text}"),
                }
            }
        }
        let tagged = Reference::parse("r.example/p:1.0").unwrap();
        assert_eq!(tagged.tag(), Some("1.0"));
        assert!(tagged.digest().unwrap_err().to_string().starts_with("no digest"));
        assert_eq!(tagged.pinned("ab"), "r.example/p@sha256:ab");
        for bad in ["@sha512:00", "@sha256:00", "@sha256:", "@"] {
            let text = format!("r.example/p{bad}");
            assert!(Reference::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        let base = |text: &str| Reference::parse(text).unwrap().base(true);
        assert!(base("r.example/p").starts_with("https:"));
        assert!(base("127.0.0.1.example/p").starts_with("https:"));
        let local = Reference::parse("[::1]:5000/p").unwrap();
        assert!(local.base(true).starts_with("http:") && local.base(false).starts_with("https:"));
    }
}
