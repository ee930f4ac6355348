//! What a registry asks for before it answers: a name and a password, or a token that another server gives for them.

use crate::credentials::Credentials;
use crate::error::Error;
use crate::http::{Http, Request, accept};
use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use secrecy::SecretString;
use serde::Deserialize;

/// A token is some hundred bytes, with signatures some thousand.
const TOKEN_BYTES: usize = 1 << 20;

/// What a registry demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    /// Where a token is had.
    Bearer(Url),
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: Option<SecretString>,
}

impl Challenge {
    /// The demand that can be met; none where there is none. Tokens go before passwords.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = || {
            headers
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok())
        };
        let bearer = texts().find_map(token_address).map(Self::Bearer);
        let is_basic = |text: &str| {
            text.get(..5)
                .is_some_and(|word| word.eq_ignore_ascii_case("basic"))
        };
        bearer.or_else(|| texts().any(is_basic).then_some(Self::Basic))
    }

    /// The header that meets it; none where that takes credentials and there are none. Public registries, too, want a
    /// token; they give it to anybody.
    pub(crate) async fn meet(
        &self,
        http: &Http,
        credentials: Option<&Credentials>,
        registry_is_local: bool,
    ) -> Result<Option<SecretString>, Error> {
        let url = match self {
            Self::Basic => return Ok(credentials.map(Credentials::basic)),
            Self::Bearer(url) => url,
        };
        // The registry says where the password is to be shown. On the way there nobody may read it.
        let safe = url.scheme() == "https" || (registry_is_local && url.scheme() == "http");
        if !safe {
            return Err(Error::TokenService("its address does not begin with https://"));
        }
        let authorization = credentials.map(Credentials::basic);
        let response = http
            .send(&Request::get(url.clone()), authorization.as_ref())
            .await?;
        accept(response.status(), credentials.is_some())?;
        let answer = http.body(response, TOKEN_BYTES).await?;
        let token = serde_json::from_slice::<Token>(&answer)
            .ok()
            .and_then(|answer| answer.token);
        let token = token.ok_or(Error::TokenService("its answer holds no token"))?;
        Ok(Some(bearer(&token)))
    }
}

fn bearer(token: &SecretString) -> SecretString {
    use secrecy::ExposeSecret;
    format!("Bearer {}", token.expose_secret()).into()
}

/// Where a token is had, of `Bearer realm="…",service="…",scope="…"`.
fn token_address(challenge: &str) -> Option<Url> {
    let fields = challenge
        .get(..7)
        .filter(|word| word.eq_ignore_ascii_case("bearer "));
    let fields = fields.map(|_| &challenge[7..])?;
    let field = |name: &str| {
        let start = fields.find(&format!("{name}=\""))? + name.len() + 2;
        fields[start..].split('"').next()
    };
    let mut url = Url::parse(field("realm")?).ok()?;
    for name in ["service", "scope"] {
        if let Some(value) = field(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn a_challenge_tells_what_is_wanted() {
        let at = |url: &str| Some(Challenge::Bearer(Url::parse(url).unwrap()));
        for (texts, expected) in [
            (
                vec![r#"Bearer realm="https://auth.example/token",service="r",scope="repository:p:pull""#],
                at("https://auth.example/token?service=r&scope=repository%3Ap%3Apull"),
            ),
            (
                vec![r#"bearer realm="https://auth.example/t""#],
                at("https://auth.example/t"),
            ),
            (vec!["Basic realm=\"x\""], Some(Challenge::Basic)),
            (
                vec!["Basic realm=\"x\"", r#"Bearer realm="https://auth.example/t""#],
                at("https://auth.example/t"),
            ),
            (vec!["Bearer scope=\"x\""], None),
            (vec!["Negotiate"], None),
            (vec!["é"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for text in &texts {
                headers.append(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_bytes(text.as_bytes()).unwrap(),
                );
            }
            assert_eq!(Challenge::read(&headers), expected, "{texts:?}");
        }
    }
}
