//! Load, render and policy, without git and cluster.

use std::sync::Arc;
use std::time::Duration;

use dayfly_judge::cost::{self, MonthlyCost};
use dayfly_judge::evaluate::{Desired, Evaluation, Evaluator};
use dayfly_judge::policy::PolicySet;
use dayfly_judge::render::{self, Manifests};
use dayfly_model::platform::{Instance, Platform};
use dayfly_model::snapshot::{FileEntry, Snapshot};
use dayfly_tests::generate::PlatformShape;
use jiff::Timestamp;
use rayon::ThreadPoolBuilder;

use crate::floors::{self, Floors};
use crate::measure::{Figures, peak_memory, timed};

/// Everything about N apps on so many threads.
pub fn measure(apps: usize, threads: usize) -> Figures {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| measure_here(apps))
}

/// The peak of memory, with and without what the files take.
pub fn measure_memory(apps: usize, threads: usize) -> Figures {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let snapshot = Snapshot::from_texts(PlatformShape::sandbox(apps).files());
        let before = peak_memory();
        let platform = Platform::load(&snapshot, None);
        let mut evaluator = Evaluator::default();
        let _judged = judge(&mut evaluator, &platform);
        let mut figures = Figures::default();
        figures.set("memory", peak_memory());
        figures.set("memory.files", before);
        figures
    })
}

fn measure_here(apps: usize) -> Figures {
    let shape = PlatformShape::sandbox(apps);
    let snapshot = Snapshot::from_texts(shape.files());
    let mut figures = Figures::default();
    let (platform, load) = timed(|| Platform::load(&snapshot, None));
    let mut evaluator = Evaluator::default();
    let (evaluation, judged) = timed(|| judge(&mut evaluator, &platform));
    figures.time("load", load);
    figures.time("judge", judged);
    figures.set("renders", evaluation.renders as f64);
    let instances: Vec<_> = evaluation.instances.values().filter_map(|e| e.instance.as_ref()).collect();
    let sealed = evaluation.instances.values().map(|evaluated| evaluated.admitted().unwrap());
    let manifests: Vec<_> = sealed.map(|sealed| sealed.open().unwrap().manifests().clone()).collect();
    figures.set("objects", manifests.iter().map(|manifests| manifests.objects.len()).sum::<usize>() as f64);

    let (path, bytes) = shape.app(apps / 2, 1);
    let edited = snapshot.patched(None, [(path, Some(FileEntry::file(bytes)))]);
    let (again, reload) = timed(|| {
        let platform = Platform::load(&edited, Some(&platform));
        judge(&mut evaluator, &platform)
    });
    figures.time("reload", reload);
    figures.set("reload.renders", again.renders as f64);
    drop(again);

    stages(&platform, &mut figures);
    let floors = floors::measure(&snapshot, &platform, &instances, &manifests);
    floors.record(&mut figures);
    let ratio = |floor: Duration| (load + judged).as_secs_f64() / floor.as_secs_f64();
    figures.set("ratio", ratio(floors.sum()));
    figures.set("ratio.strict", ratio(floors.strict()));
    figures
}

fn judge(evaluator: &mut Evaluator, platform: &Platform) -> Evaluation {
    evaluator.evaluate(&Desired { tip: platform, approved: None }, now())
}

/// A time at which no app of the benchmark is over.
pub fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// The parts of judging, one after the other on this thread.
fn stages(platform: &Platform, figures: &mut Figures) {
    let (policies, compile) = timed(|| PolicySet::compile(platform.policies.get().unwrap()).unwrap());
    figures.time("compile policies", compile);
    let mut times = [Duration::ZERO; 4];
    let apps: Vec<_> = platform.apps.keys().collect();
    for apps in apps.chunks(floors::BATCH) {
        let (instances, resolve): (Vec<Instance>, _) =
            timed(|| apps.iter().map(|app| platform.instance(app).unwrap()).collect());
        let (manifests, render): (Vec<Arc<Manifests>>, _) =
            timed(|| instances.iter().map(|instance| Arc::new(render::render(instance).unwrap())).collect());
        let pairs = || instances.iter().zip(&manifests);
        let (costs, price): (Vec<MonthlyCost>, _) = timed(|| {
            pairs().map(|(instance, manifests)| cost::monthly(manifests, &instance.environment.prices)).collect()
        });
        let ((), policy) = timed(|| {
            for ((instance, manifests), cost) in pairs().zip(&costs) {
                policies.decide(instance, manifests.clone(), cost, [], now());
            }
        });
        times.iter_mut().zip([resolve, render, price, policy]).for_each(|(sum, time)| *sum += time);
    }
    ["resolve", "render", "cost", "policy"].into_iter().zip(times).for_each(|(name, time)| figures.time(name, time));
}

/// The table of one N.
pub fn print(apps: usize, threads: usize, figures: &Figures) {
    let each = |name: &str| figures.get(name) * 1e3 / apps as f64;
    println!("\n{apps} apps, {:.1} objects each, {threads} threads", figures.get("objects") / apps as f64);
    println!(
        "  load + render + policy  {:9.1} ms  {:7.1} µs an app",
        total(figures),
        total(figures) * 1e3 / apps as f64
    );
    println!(
        "  bare floors             {:9.1} ms  {:7.1} µs an app",
        floor(figures),
        floor(figures) * 1e3 / apps as f64
    );
    println!("  ratio                   {:9.2}     strict {:.2}", figures.get("ratio"), figures.get("ratio.strict"));
    println!("  one app changed         {:9.1} ms  {} rendered", figures.get("reload"), figures.get("reload.renders"));
    println!(
        "  peak memory             {:9.1} MiB, of that files {:.1}",
        figures.get("memory"),
        figures.get("memory.files")
    );
    let parts = ["load", "resolve", "render", "cost", "policy"];
    println!("  µs an app on one thread: {}", parts.map(|name| format!("{name} {:.1}", each(name))).join(", "));
    println!("  floors, µs an app: {}", Floors::NAMES.map(|name| format!("{name} {:.1}", each(name))).join(", "));
}

fn total(figures: &Figures) -> f64 {
    figures.get("load") + figures.get("judge")
}

fn floor(figures: &Figures) -> f64 {
    Floors::NAMES.iter().map(|name| figures.get(name)).sum()
}
