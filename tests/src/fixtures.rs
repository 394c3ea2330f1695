//! The platforms that tests begin with, and the changes that they commit.

use dayfly_controller::Reconciler;
use dayfly_model::digest::Revision;
use kube::Client;
use serde_json::Value;

use crate::clients::api;
use crate::passes::findings_text;
use crate::platform::TestPlatform;

const APP: &str = "apiVersion: dayfly.dev/v1
kind: App
metadata: {name: NAME}
spec:
  template: simple-survey/v1
  tier: sandbox
  LIFETIME
  costCenter: CC-1042
  owner: maya@example.com
  team: people-ops
  parameters: {title: First}
";

/// The manifest of a survey in the sandbox, with a lifetime: `ttl: 20d`.
pub fn app(name: &str, lifetime: &str) -> String {
    APP.replace("NAME", name).replace("LIFETIME", lifetime)
}

/// The platform that ships, deployed, and the reconciler that deployed it.
pub async fn deployed_sample() -> (TestPlatform, Reconciler) {
    let platform = TestPlatform::sample().await;
    let mut reconciler = platform.reconciler();
    reconciler.pass(platform.now()).await.unwrap();
    (platform, reconciler)
}

/// Commits another question for `quarterly-feedback`, in the sandbox.
pub fn change_survey(platform: &TestPlatform) -> Revision {
    platform.edit("apps/quarterly-feedback/app.yaml", "How was your quarter?", "And this quarter?")
}

/// Commits another owner for `travel-approval`, in the pilot; owners follow the tip without an approval.
pub fn change_owner(platform: &TestPlatform) -> Revision {
    platform.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com")
}

/// A platform with two apps, not deployed yet: `survey`, which has the trouble, and `poll`, which must not notice.
pub async fn two_apps() -> TestPlatform {
    let platform = TestPlatform::sample().await;
    platform.commit(&[("apps/", None)]);
    platform.commit(&[
        ("apps/survey/app.yaml", Some(&app("survey", "ttl: 20d"))),
        ("apps/poll/app.yaml", Some(&app("poll", "ttl: 20d"))),
    ]);
    platform.approve();
    platform
}

/// The platform of two apps, deployed, and the reconciler that deployed it.
pub async fn two_deployed_apps() -> (TestPlatform, Reconciler) {
    let platform = two_apps().await;
    let mut reconciler = platform.reconciler();
    deploy(&platform, &mut reconciler).await;
    (platform, reconciler)
}

/// A pass that has to finish and to find nothing wrong.
pub async fn deploy(platform: &TestPlatform, reconciler: &mut Reconciler) {
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(!pass.is_unfinished() && pass.diagnostics.is_empty(), "{}", findings_text(&pass));
}

/// Commits another title for one of the two apps.
pub fn change_title(platform: &TestPlatform, name: &str, title: &str) {
    let path = format!("apps/{name}/app.yaml");
    let text = platform.read(&path);
    let (before, _) = text.split_once("{title: ").unwrap();
    platform.commit(&[(&path, Some(&format!("{before}{{title: {title}}}\n")))]);
}

/// The title with which one of the two apps runs.
pub async fn running_title(client: &Client, name: &str) -> String {
    let config = api(client, "v1", "ConfigMap", Some(&format!("{name}-sandbox"))).get(name).await.unwrap();
    let survey: Value = serde_json::from_str(config.data["data"]["survey.json"].as_str().unwrap()).unwrap();
    survey["title"].as_str().unwrap().to_owned()
}
