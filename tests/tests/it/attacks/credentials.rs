//! Credentials that are odd stop no other tier, and are never shown.

use std::fs;

use dayfly_plan::status::Phase;
use dayfly_tests::passes::{findings_text, status_of};
use dayfly_tests::platform::TestPlatform;
use serde_json::{Value, json};

const SECRET: &str = "sekret-token-123";

/// What is said of the tier `pilot`, whose user has these credentials, while all other tiers go on.
async fn said_of_pilot(user: Value) -> String {
    let platform = TestPlatform::sample().await;
    let path = platform.home().kubeconfig();
    let mut kubeconfig: Value = serde_yaml::from_slice(&fs::read(&path).unwrap()).unwrap();
    kubeconfig["users"].as_array_mut().unwrap().push(json!({"name": "odd", "user": user}));
    for context in kubeconfig["contexts"].as_array_mut().unwrap() {
        if context["name"] == "pilot" {
            context["context"]["user"] = "odd".into();
        }
    }
    fs::write(&path, serde_yaml::to_string(&kubeconfig).unwrap()).unwrap();
    let pass = platform.fresh_pass().await;
    assert_eq!(status_of(&pass, "quarterly-feedback").phase, Phase::Ready);
    let said = format!("{}{:?}", findings_text(&pass), pass.items);
    assert!(!said.contains(SECRET), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_line_break_is_named_and_not_shown() {
    for end in ["\n", "\r\n", "\u{7f}", "\0"] {
        let said = said_of_pilot(json!({"token": format!("{SECRET}{end}")})).await;
        assert!(said.contains("has a line break or another character that no request can carry"), "{end:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_line_break_from_a_plugin_is_named_and_not_shown() {
    let answer = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": format!("{SECRET}\n")}});
    let script = format!("cat <<'END'\n{answer}\nEND");
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "interactiveMode": "Never"});
    let said = said_of_pilot(json!({"exec": exec})).await;
    assert!(said.contains("what the credential plugin answers cannot be sent"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_token_is_sent() {
    let said = said_of_pilot(json!({"token": SECRET})).await;
    assert!(!said.contains("cannot"), "{said}");
}
