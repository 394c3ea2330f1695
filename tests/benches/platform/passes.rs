//! Whole passes, from a bare git repository to a Kubernetes API. The API server is the embedded one, in a process of its
//! own, so that the peak of memory is the reconciler's.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use dayfly::home::PlatformHome;
use dayfly_calls::Calls;
use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::{Pass, Reconciler};
use dayfly_git::{Base, Commit, MAIN, Repository, Writer};
use dayfly_judge::evaluate::{Desired, Evaluator};
use dayfly_lifecycle::ledger::{LedgerFact, Signer};
use dayfly_local::apiserver::{ApiServer, Config};
use dayfly_model::digest::Revision;
use dayfly_model::kinds::{Kinds, WAVES};
use dayfly_model::object::Object;
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::Snapshot;
use dayfly_tests::generate::{GeneratedFile, PlatformShape};
use futures::{StreamExt as _, stream};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::CHILD;
use crate::core::now;
use crate::measure::{Figures, peak_memory, timed};

/// The most calls that Dayfly has under way at once.
const AT_ONCE: usize = 16;
/// How often a small pass is measured.
const TIMES: usize = 5;

/// The passes over a platform of N apps.
pub fn measure(apps: usize) -> Figures {
    let shape = PlatformShape::sandbox(apps);
    let platform = BenchPlatform::of(shape.files());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(passes(shape, &platform))
}

/// The same objects, sent by a client that does nothing else.
pub fn measure_floor(apps: usize) -> Figures {
    let platform = Platform::load(&Snapshot::from_texts(PlatformShape::sandbox(apps).files()), None);
    let judged = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, now());
    let objects: Vec<_> = judged
        .instances
        .values()
        .flat_map(|e| e.admitted().unwrap().open().unwrap().manifests().objects.clone())
        .collect();
    let server = ServerProcess::start();
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(client(&server.kubeconfig));
    let ((), time) = timed(|| runtime.block_on(send(&client, &objects)));
    let mut figures = Figures::default();
    figures.time("floor.send", time);
    figures
}

/// Runs an API server until its input ends; its first line of output is its kubeconfig, on one line.
pub fn serve() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(ApiServer::start(Config::new(folder.path()))).unwrap();
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// The table of one N.
pub fn print(apps: usize, figures: &Figures) {
    println!("\n{apps} apps, whole passes");
    for (name, what) in [
        ("cold", "cold"),
        ("commit", "one app changed by a commit"),
        ("no-op", "nothing changed"),
        ("restart", "new process, nothing changed"),
    ] {
        let of = |figure: &str| figures.get(&format!("{name}.{figure}"));
        let (time, renders, writes, calls) = (of("time"), of("renders"), of("writes"), of("calls"));
        println!("  {what:<30} {time:9.1} ms  {renders:6} renders  {writes:6} writes  {calls:6} calls");
    }
    let (cold, floor) = (figures.get("cold.time"), figures.get("floor.send"));
    println!("  the same objects, only sent    {floor:9.1} ms, ratio of the cold pass {:.2}", cold / floor);
    println!("  objects a second, cold         {:9.0}", figures.get("cold.objects") * 1e3 / cold);
    println!("  from commit to live            {:9.1} ms", figures.get("commit.live"));
    println!("  peak memory                    {:9.1} MiB", figures.get("pass.memory"));
}

async fn passes(shape: PlatformShape, platform: &BenchPlatform) -> Figures {
    let mut figures = Figures::default();
    let mut reconciler = platform.reconciler();
    let cold = reconciler.pass(now()).await.unwrap();
    assert!(!cold.is_unfinished(), "{:?}", cold.diagnostics.first());
    record(&mut figures, "cold", &cold);
    figures.set("cold.objects", cold.items.iter().map(|item| item.objects).sum::<usize>() as f64);
    let mut converging = 0;
    while reconciler.watch_pass(now()).await.unwrap().calls > 0 {
        converging += 1;
        assert!(converging < 5, "the platform does not converge");
    }

    let mut commits = Vec::new();
    for time in 0..TIMES {
        let number = (time * 131 + 7) % shape.apps;
        let began = std::time::Instant::now();
        platform.commit(&[shape.app(number, 1)]);
        let pass = reconciler.watch_pass(now()).await.unwrap();
        assert!(!pass.is_unfinished(), "{:?}", pass.diagnostics.first());
        let mut one = Figures::default();
        record(&mut one, "commit", &pass);
        one.time("commit.live", began.elapsed());
        commits.push(one);
    }
    figures = figures.and(Figures::median(commits)).and(several(&mut reconciler, "no-op").await);

    figures.set("pass.memory", peak_memory());
    drop((cold, reconciler));
    let mut reconciler = platform.reconciler();
    let pass = reconciler.watch_pass(now()).await.unwrap();
    record(&mut figures, "restart", &pass);
    figures
}

async fn several(reconciler: &mut Reconciler, name: &str) -> Figures {
    let mut passes = Vec::new();
    for _ in 0..TIMES {
        let mut one = Figures::default();
        record(&mut one, name, &reconciler.watch_pass(now()).await.unwrap());
        passes.push(one);
    }
    Figures::median(passes)
}

fn record(figures: &mut Figures, name: &str, pass: &Pass) {
    figures.time(&format!("{name}.time"), pass.took);
    figures.set(&format!("{name}.writes"), pass.writes as f64);
    figures.set(&format!("{name}.calls"), pass.calls as f64);
    figures.set(&format!("{name}.renders"), pass.renders as f64);
}

/// Sends objects in the order of their waves, as many at once as Dayfly does at most.
async fn send(client: &Client, objects: &[Object]) {
    for wave in WAVES {
        let due = objects.iter().filter(|object| Kinds::builtin().wave(object.key()) == wave);
        stream::iter(due).for_each_concurrent(AT_ONCE, |object| apply(client, object)).await;
    }
}

async fn apply(client: &Client, object: &Object) {
    let key = object.key();
    let kind = Kinds::builtin().find(&key.group, &key.kind).unwrap();
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(kind.group, kind.version, kind.kind), kind.plural);
    let api: Api<DynamicObject> = match &key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.patch(&key.name, &PatchParams::apply("floor"), &Patch::Apply(&**object.value())).await.unwrap();
}

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// An API server in a process of its own, which ends with this.
struct ServerProcess {
    kubeconfig: String,
    process: Child,
    _until: Option<ChildStdin>,
}

impl ServerProcess {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([CHILD, "serve", "0", "0"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        let contexts = ["sandbox", "pilot", "production"]
            .map(|name| format!("- {{name: {name}, context: {{cluster: bench, user: bench}}}}\n"))
            .concat();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\nclusters:\n- {{name: bench, cluster: {{server: \
             \"{}\"}}}}\nusers:\n- {{name: bench, user: {{}}}}\ncontexts:\n{contexts}",
            url.trim()
        );
        let until = process.stdin.take();
        Self { kubeconfig, process, _until: until }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A repository, what is approved in it, and a cluster.
struct BenchPlatform {
    home: PlatformHome,
    signer: Signer,
    _server: ServerProcess,
    _folder: TempDir,
}

impl BenchPlatform {
    fn of(files: Vec<GeneratedFile>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (home, server) = (PlatformHome::new(folder.path()), ServerProcess::start());
        let signer = home.signer_or_new(None).unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        git2::Repository::init_opts(home.bare(), options.bare(true).initial_head(MAIN)).unwrap();
        std::fs::write(home.kubeconfig(), &server.kubeconfig).unwrap();
        let platform = Self { home, signer, _server: server, _folder: folder };
        let first = platform.commit_on(Base::Orphan, &files);
        dayfly_git::ledger::append(&platform.repository(), &platform.signer, first, now(), LedgerFact::Baseline)
            .unwrap();
        platform
    }

    fn repository(&self) -> Repository {
        self.home.repository().unwrap()
    }

    fn reconciler(&self) -> Reconciler {
        let target = ClusterTarget { kubeconfig: Some(self.home.kubeconfig()), context: None };
        Reconciler::with_calls(self.repository(), self.signer.verifier(), target, Calls::default())
            .at_stated_times(true)
    }

    fn commit(&self, files: &[GeneratedFile]) -> Revision {
        self.commit_on(Base::Tip(self.repository().tip().unwrap().revision), files)
    }

    fn commit_on(&self, base: Base, files: &[GeneratedFile]) -> Revision {
        let edits: Vec<_> = files.iter().map(|(path, bytes)| (path.clone(), Some(bytes.clone()))).collect();
        let commit = Commit { edits, message: "a change\n".into(), time: now() };
        Writer::open(&self.home.bare()).unwrap().commit(MAIN, base, &commit).unwrap()
    }
}
