//! What a straightforward program does at least with the same libraries, for the same objects.
//!
//! - `floor.manifests`: every app.yaml from YAML to a JSON value.
//! - `floor.context`: what templates see of every app, as a Tera context.
//! - `floor.tera`: the template's and the tier's files of every app, rendered by a plain Tera to text.
//! - `floor.objects`: that text from YAML to JSON values.
//! - `floor.input`: those values, with the app's, as regorus' own.
//! - `floor.rego`: the shipped policies, compiled for regorus' virtual machine, over every app.
//!
//! YAML is read by the faster of serde-saphyr and yaml_serde, each tried on everything. Compiling templates and policies
//! is counted once, as Dayfly does it once. Checks, digests, labels, defaults, schemas, places of fields, typed containers,
//! costs and limits are none of a floor's business, and it keeps nothing. The strict ratio leaves context and input out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dayfly_judge::cost;
use dayfly_judge::policy::input;
use dayfly_judge::render::Manifests;
use dayfly_model::digest::Digest;
use dayfly_model::platform::app::Egress;
use dayfly_model::platform::{Instance, Platform};
use dayfly_model::snapshot::Snapshot;
use rayon::prelude::*;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::{Program, RegoVM};
use regorus::{Engine, Value as Rego};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tera::{Context, Kwargs, State, Tera};

use crate::measure::{Figures, timed};

/// How many apps are at hand at once, so that the floors pay for no memory that they do not need.
pub const BATCH: usize = 256;

/// The times of the floors.
#[derive(Debug, Default)]
pub struct Floors([Duration; 6]);

impl Floors {
    /// Their names among the figures.
    pub const NAMES: [&str; 6] =
        ["floor.manifests", "floor.context", "floor.tera", "floor.objects", "floor.input", "floor.rego"];

    /// All of them.
    pub fn sum(&self) -> Duration {
        self.0.iter().sum()
    }

    /// All but what only turns one form into another.
    pub fn strict(&self) -> Duration {
        let [manifests, _, tera, objects, _, rego] = self.0;
        manifests + tera + objects + rego
    }

    /// Puts them among the figures.
    pub fn record(&self, figures: &mut Figures) {
        Self::NAMES.iter().zip(self.0).for_each(|(name, time)| figures.time(name, time));
    }
}

/// Measures the floors of a platform that was judged.
pub fn measure(
    snapshot: &Snapshot,
    platform: &Platform,
    instances: &[&Instance],
    manifests: &[Arc<Manifests>],
) -> Floors {
    let sources: Vec<_> =
        snapshot.folder("apps/").filter_map(|(_, entry)| std::str::from_utf8(entry.bytes()?).ok()).collect();
    let manifest_time = yaml(&sources);
    let (tera, mut tera_time) = timed(|| compiled_tera(platform));
    let ((program, entries), mut rego_time) = timed(|| compiled_rego(platform));
    let (mut context_time, mut object_time, mut input_time) = Default::default();
    for (instances, manifests) in instances.chunks(BATCH).zip(manifests.chunks(BATCH)) {
        let (contexts, time) = timed(|| instances.par_iter().map(|instance| context(instance)).collect::<Vec<_>>());
        context_time += time;
        let (texts, time) = timed(|| render(&tera, instances, &contexts));
        tera_time += time;
        object_time += yaml(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let read: usize = texts.par_iter().map(|text| by_saphyr(text)).sum();
        assert_eq!(read, manifests.iter().map(|manifests| manifests.objects.len()).sum::<usize>(), "other objects");
        drop((contexts, texts));
        let plain: Vec<_> = instances.par_iter().zip(manifests).map(|(one, manifests)| names(one, manifests)).collect();
        input_time += timed(|| plain.into_par_iter().map(Rego::from).collect::<Vec<_>>()).1;
        let inputs = instances.par_iter().zip(manifests).map(|(instance, manifests)| {
            input::of(instance, manifests, &cost::monthly(manifests, &instance.environment.prices))
        });
        let inputs: Vec<_> = inputs.collect();
        rego_time += timed(|| inputs.par_iter().for_each(|input| decide(&program, &entries, input))).1;
    }
    Floors([manifest_time, context_time, tera_time, object_time, input_time, rego_time])
}

/// The time that the faster library takes for these texts.
fn yaml(texts: &[&str]) -> Duration {
    let (one, saphyr) = timed(|| texts.par_iter().map(|text| by_saphyr(text)).sum::<usize>());
    let (other, yaml_serde) = timed(|| texts.par_iter().map(|text| by_yaml_serde(text)).sum::<usize>());
    assert_eq!(one, other, "both libraries read the same documents");
    saphyr.min(yaml_serde)
}

fn by_saphyr(text: &str) -> usize {
    serde_saphyr::from_multiple::<Value>(text).unwrap().iter().filter(|document| !document.is_null()).count()
}

fn by_yaml_serde(text: &str) -> usize {
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).count()
}

/// All templates and tiers in one plain Tera, by the paths of their files.
fn compiled_tera(platform: &Platform) -> Tera {
    let mut tera = Tera::default();
    tera.autoescape_on(Vec::<&str>::new());
    tera.register_filter("json", |value: tera::Value, _: Kwargs, _: &State| {
        serde_json::to_string(&value).map_err(tera::Error::message)
    });
    // In text, a digest such as 08e713568350 would be a number.
    let digest = |text: &str, _: Kwargs, _: &State| format!("d{}", Digest::of(text.as_bytes()).short());
    tera.register_filter("digest", digest);
    tera.register_filter("join", |items: Vec<tera::Value>, kwargs: Kwargs, _: &State| {
        let items: Vec<_> = items.iter().map(ToString::to_string).collect();
        kwargs.must_get::<&str>("sep").map(|separator| items.join(separator))
    });
    let templates = platform.templates.values().filter_map(|item| item.get()).map(|template| &template.resources);
    let tiers = platform.environments.values().filter_map(|item| item.get()).map(|tier| &tier.resources);
    let files = templates.chain(tiers).flatten().map(|(path, text)| (path.as_str(), &**text));
    tera.add_raw_templates(files).unwrap();
    tera
}

fn render(tera: &Tera, instances: &[&Instance], contexts: &[Context]) -> Vec<String> {
    let rendered = instances.par_iter().zip(contexts).map(|(instance, context)| {
        let mut text = Vec::new();
        for path in instance.template.resources.keys().chain(instance.environment.resources.keys()) {
            tera.render_to(path, context, &mut text).unwrap();
            text.extend(b"\n---\n");
        }
        String::from_utf8(text).unwrap()
    });
    rendered.collect()
}

/// What templates see.
fn context(instance: &Instance) -> Context {
    Context::from_serialize(&view(instance)).unwrap()
}

/// The objects and what templates see, as one value.
fn names(instance: &Instance, manifests: &Manifests) -> Value {
    let mut names = view(instance);
    names["objects"] = manifests.objects.iter().map(|object| (**object.value()).clone()).collect();
    names
}

/// What templates see, as `render.rs` in the core lists it.
fn view(instance: &Instance) -> Value {
    let (app, template) = (&instance.app, &instance.template);
    let egress = app.egress.iter().map(|egress| match egress {
        Egress::Cidr { cidr, port } => json!({"cidr": cidr, "hostname": null, "port": port}),
        Egress::Hostname { hostname, port } => json!({"cidr": null, "hostname": hostname, "port": port}),
    });
    json!({
        "app": {
            "name": app.name,
            "team": app.team,
            "owner": app.owner,
            "ownerLogin": app.owner_login,
            "costCenter": app.cost_center,
            "purpose": app.purpose,
            "dataClassification": app.data_classification,
            "template": template.reference,
            "version": template.version.to_string(),
        },
        "params": instance.parameters.iter().collect::<BTreeMap<_, _>>(),
        "tier": instance.key.tier,
        "namespace": instance.namespace,
        "host": instance.host,
        "runtime": instance.runtime,
        "suspend": app.suspend,
        "connectors": app.connectors,
        "secrets": template.secrets,
        "egress": egress.collect::<Vec<_>>(),
        "hostnames": instance.environment.egress_hostnames,
        "files": {},
    })
}

/// The shipped policies as one program, and its entry points.
fn compiled_rego(platform: &Platform) -> (Arc<Program>, Vec<String>) {
    let mut engine = Engine::new();
    let files = platform.policies.get().unwrap().iter().filter(|(path, _)| !path.ends_with("_test.rego"));
    let packages: Vec<_> =
        files.map(|(path, text)| engine.add_policy(path.clone(), text.to_string()).unwrap()).collect();
    let compiled = engine.compile_with_entrypoint(&format!("{}.deny", packages[0]).into()).unwrap();
    let entries = packages.iter().flat_map(|package| ["deny", "warn"].map(|rule| format!("{package}.{rule}")));
    let entries: Vec<_> = entries.filter(|entry| compiled.get_rules().contains_key(entry)).collect();
    let names: Vec<_> = entries.iter().map(String::as_str).collect();
    (Compiler::compile_from_policy(&compiled, &names).unwrap(), entries)
}

thread_local! {
    static MACHINE: RefCell<Option<RegoVM>> = const { RefCell::new(None) };
}

fn decide(program: &Arc<Program>, entries: &[String], input: &Rego) {
    MACHINE.with_borrow_mut(|machine| {
        let machine = machine.get_or_insert_with(|| {
            let mut machine = RegoVM::new();
            machine.load_program(program.clone());
            machine.set_max_instructions(usize::MAX);
            machine
        });
        machine.set_input(input.clone());
        for entry in entries {
            let found = machine.execute_entry_point_by_name(entry).unwrap();
            assert!(found.as_set().unwrap().is_empty(), "the shipped policies admit every app");
        }
    });
}
