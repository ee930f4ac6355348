use super::*;

#[test]
fn the_url_of_a_call_follows_the_base_url_and_the_prefix_of_its_family() {
    let own_prefixes = PathPrefixes {
        kubernetes: "/api/v2/".to_owned(),
        ..PathPrefixes::default()
    };
    let cases = [
        (
            "https://api.vpsie.com",
            PathPrefixes::default(),
            "https://api.vpsie.com/apps/v2/k8s/x",
        ),
        (
            "https://api.vpsie.com/",
            PathPrefixes::default(),
            "https://api.vpsie.com/apps/v2/k8s/x",
        ),
        (
            "https://api.vpsie.com",
            own_prefixes.clone(),
            "https://api.vpsie.com/api/v2/k8s/x",
        ),
        (
            "https://api.vpsie.com/v2",
            own_prefixes,
            "https://api.vpsie.com/v2/k8s/x",
        ),
        (
            "http://127.0.0.1:81/apps/v2/",
            PathPrefixes::default(),
            "http://127.0.0.1:81/apps/v2/k8s/x",
        ),
    ];
    for (base_url, path_prefixes, expected) in cases {
        let settings = Settings {
            base_url: base_url.to_owned(),
            path_prefixes,
            ..Settings::default()
        };
        let base = settings.base().unwrap();
        assert_eq!(
            settings.url(&base, Family::Kubernetes, "/k8s/x"),
            expected,
            "{base_url}"
        );
    }
}

#[test]
fn a_url_that_cannot_work_is_refused_by_name_without_its_password() {
    for (base_url, words) in [
        ("", "is not a URL"),
        ("api.vpsie.com", "needs a scheme"),
        ("ftp://api.vpsie.com", "must begin with https://"),
        (
            "https://user:hunter2@api.vpsie.com",
            "must not contain a user name",
        ),
    ] {
        let settings = Settings {
            base_url: base_url.to_owned(),
            ..Settings::default()
        };
        let message = settings.base().unwrap_err().to_string();
        assert!(message.contains(words), "{base_url}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (text, words) in [
        (r#"{"requestsPerMinute":0}"#, "requestsPerMinute is 0"),
        (r#"{"burst":0}"#, "burst is 0"),
        (r#"{"readAttempts":0}"#, "readAttempts is 0"),
        (r#"{"requestTimeout":"0s"}"#, "requestTimeout is 0s"),
        (r#"{"breaker":{"failureRate":0}}"#, "breaker.failureRate"),
        (r#"{"breaker":{"window":"0s"}}"#, "breaker.window"),
        (
            r#"{"breaker":{"openFor":"0s"}}"#,
            "breaker.openFor is 0s; use 30s",
        ),
    ] {
        let settings: Settings = serde_json::from_str(text).unwrap();
        let message = settings.check().unwrap_err().to_string();
        assert!(message.contains(words), "{text}: {message}");
    }
    assert!(Settings::default().check().is_ok());
}

#[test]
fn settings_are_read_from_a_file_and_unknown_names_are_refused() {
    let settings: Settings = serde_json::from_str(
        r#"{"authHeader":"both","tokenBody":"form","requestTimeout":"5s","breaker":{"openFor":"1m"}}"#,
    )
    .unwrap();
    assert_eq!(settings.auth_header, AuthHeader::Both);
    assert_eq!(settings.token_body, TokenBody::Form);
    assert_eq!(settings.request_timeout, Duration::from_secs(5));
    assert_eq!(settings.breaker.open_for, Duration::from_secs(60));
    assert_eq!(settings.breaker.consecutive_failures, 5);
    assert!(serde_json::from_str::<Settings>(r#"{"requestTimout":"5s"}"#).is_err());
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
}
