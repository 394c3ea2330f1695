//! Small apps that things happen to, and what a pass says of them.

use dayfly_controller::Pass;
use dayfly_plan::status::Status;

use crate::world::World;

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

/// A platform with two apps: `survey`, which things happen to, and `poll`, its neighbor.
pub async fn two_apps() -> World {
    let world = World::of_the_sample().await;
    world.commit(&[("apps/", None)]);
    world.commit(&[
        ("apps/survey/app.yaml", Some(&app("survey", "ttl: 20d"))),
        ("apps/poll/app.yaml", Some(&app("poll", "ttl: 20d"))),
    ]);
    world.approve();
    world
}

/// Commits another title for one of these apps.
pub fn change(world: &World, name: &str, title: &str) {
    let path = format!("apps/{name}/app.yaml");
    let text = world.read(&path);
    let (before, _) = text.split_once("{title: ").unwrap();
    world.commit(&[(&path, Some(&format!("{before}{{title: {title}}}\n")))]);
}

/// How an app is.
pub fn item<'a>(pass: &'a Pass, app: &str) -> &'a Status {
    pass.items.iter().find(|item| item.app.as_str() == app).unwrap_or_else(|| panic!("no {app} in {:?}", pass.items))
}

/// All findings as a person reads them.
pub fn told(pass: &Pass) -> String {
    pass.diagnostics.iter().map(|found| format!("{found}\n")).collect()
}
