//! A whole platform in one process: a bare repository, the embedded Kubernetes API, and reconcilers on demand.

use std::fs;
use std::net::SocketAddr;

use dayfly::home::PlatformHome;
use dayfly_calls::Calls;
use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::{Pass, Reconciler};
use dayfly_git::{Base, Commit, Repository, Writer};
use dayfly_lifecycle::ledger::{LedgerFact, Signer};
use dayfly_local::apiserver::{ApiServer, Config, Handle};
use dayfly_model::digest::Revision;
use dayfly_model::scope::SYSTEM_NAMESPACE;
use dayfly_plan::inventory;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::{clients, folders};

/// The moment at which a platform's time begins.
const BEGINNING: &str = "2026-03-02T09:00:00Z";

/// A platform with its cluster and its own time, in a folder that is removed with it.
pub struct TestPlatform {
    home: PlatformHome,
    server: Option<Handle>,
    address: SocketAddr,
    signer: Signer,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl TestPlatform {
    /// The platform that ships, seeded and approved, beside an empty cluster.
    pub async fn sample() -> Self {
        let folder = tempfile::tempdir().unwrap();
        folders::copy_shipped_platform(folder.path());
        let now: Timestamp = BEGINNING.parse().unwrap();
        let home = PlatformHome::new(folder.path());
        let signer = home.signer_or_new(None).unwrap();
        dayfly_git::seed(folder.path(), &home.bare(), now).unwrap();
        let server = ApiServer::start(Config::new(home.state().join("kubernetes"))).await.unwrap();
        let mut kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig("sandbox")).unwrap();
        for tier in ["pilot", "production"] {
            let mut context = kubeconfig.contexts[0].clone();
            context.name = tier.into();
            kubeconfig.contexts.push(context);
        }
        fs::write(home.kubeconfig(), serde_yaml::to_string(&kubeconfig).unwrap()).unwrap();
        let address = server.addr();
        let platform = Self { home, server: Some(server), address, signer, now, _folder: folder };
        platform.approve();
        platform
    }

    /// The platform's present moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets time pass.
    pub fn days_pass(&mut self, days: i64) {
        self.hours_pass(24 * days);
    }

    /// Lets time pass.
    pub fn hours_pass(&mut self, hours: i64) {
        self.now += SignedDuration::from_hours(hours);
    }

    /// How many commits of the default branch's first-parent history say this.
    pub fn commits_that_say(&self, text: &str) -> usize {
        let repository = self.repository();
        let line = repository.first_parents(self.tip(), |_| false).unwrap();
        line.into_iter().filter(|at| repository.facts(*at).unwrap().message.contains(text)).count()
    }

    /// The API server.
    pub fn server(&self) -> &Handle {
        self.server.as_ref().expect("the API server runs")
    }

    /// Stops the API server.
    pub async fn stop_server(&mut self) {
        self.server.take().expect("the API server runs").shutdown().await;
    }

    /// Starts the API server again at the same address, with the objects that it had.
    pub async fn start_server(&mut self) {
        let config = Config { addr: self.address, ..Config::new(self.home.state().join("kubernetes")) };
        self.server = Some(ApiServer::start(config).await.unwrap());
    }

    /// The files around the platform's repository.
    pub fn home(&self) -> &PlatformHome {
        &self.home
    }

    /// The repository.
    pub fn repository(&self) -> Repository {
        self.home.repository().unwrap()
    }

    /// The repository, for what somebody does to it without Dayfly.
    pub fn git(&self) -> git2::Repository {
        git2::Repository::open(self.repository().path()).unwrap()
    }

    /// The tip of the default branch.
    pub fn tip(&self) -> Revision {
        self.repository().tip().unwrap().revision
    }

    /// Loses the key that signs records; another one signs from now on.
    pub fn replace_signing_key(&mut self) {
        fs::remove_file(self.home.state().join("ledger.key")).unwrap();
        self.signer = self.home.signer_or_new(None).unwrap();
    }

    /// Loses the ledger: the next record is its first.
    pub fn replace_ledger(&self) {
        self.git().find_reference(dayfly_git::LEDGER).unwrap().delete().unwrap();
    }

    /// Approves the tip as it stands.
    pub fn approve(&self) {
        self.record(LedgerFact::Baseline);
    }

    /// Signs a fact about the tip.
    pub fn record(&self, fact: LedgerFact) {
        dayfly_git::ledger::append(&self.repository(), &self.signer, self.tip(), self.now, fact).unwrap();
    }

    /// Commits files; nothing in place of bytes removes a path, a whole folder where it ends in `/`.
    pub fn commit(&self, edits: &[(&str, Option<&str>)]) -> Revision {
        let edits: Vec<_> =
            edits.iter().map(|(path, text)| ((*path).to_owned(), text.map(|text| text.as_bytes().to_vec()))).collect();
        let tip = self.repository().tip().unwrap();
        let commit = Commit { edits, message: "a change\n".into(), time: self.now };
        let writer = Writer::open(self.repository().path()).unwrap();
        writer.commit(&tip.branch, Base::Tip(tip.revision), &commit).unwrap()
    }

    /// Commits one file with a date of its own.
    pub fn commit_dated(&self, time: Timestamp, path: &str, text: &str) -> Revision {
        let tip = self.repository().tip().unwrap();
        let edits = vec![(path.to_owned(), Some(text.as_bytes().to_vec()))];
        let commit = Commit { edits, message: "a change\n".into(), time };
        let writer = Writer::open(self.repository().path()).unwrap();
        writer.commit(&tip.branch, Base::Tip(tip.revision), &commit).unwrap()
    }

    /// Replaces a text in a file by a commit.
    pub fn edit(&self, path: &str, from: &str, to: &str) -> Revision {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.commit(&[(path, Some(&text.replace(from, to)))])
    }

    /// A file at the tip.
    pub fn read(&self, path: &str) -> String {
        let snapshot = self.repository().snapshot(self.tip()).unwrap();
        String::from_utf8(snapshot.get(path).unwrap().bytes().unwrap().to_vec()).unwrap()
    }

    /// A reconciler that begins with no memory, as a process does.
    pub fn reconciler(&self) -> Reconciler {
        self.reconciler_with_calls(Calls::default())
    }

    /// One pass of a reconciler that begins with no memory.
    pub async fn fresh_pass(&self) -> Pass {
        self.reconciler().pass(self.now).await.unwrap()
    }

    /// A reconciler that makes its calls through these.
    pub fn reconciler_with_calls(&self, calls: Calls) -> Reconciler {
        let target = ClusterTarget { kubeconfig: Some(self.home.kubeconfig()), context: None };
        Reconciler::with_calls(self.repository(), self.signer.verifier(), target, calls).at_stated_times(true)
    }

    /// A reconciler as a controller has it: it records in the ledger what it sees first.
    pub fn recording_reconciler(&self) -> Reconciler {
        let signer = self.home.signer(None).unwrap();
        self.reconciler().at_stated_times(false).recording(signer)
    }

    /// A reconciler for another cluster.
    pub fn reconciler_on(&self, target: ClusterTarget) -> Reconciler {
        Reconciler::new(self.repository(), self.signer.verifier(), target).at_stated_times(true)
    }

    /// Starts one more empty cluster, with a context of that name.
    pub async fn start_another_cluster(&self, name: &str) -> Handle {
        let server = ApiServer::start(Config::new(self.home.state().join(name))).await.unwrap();
        let mut other = Kubeconfig::from_yaml(&server.kubeconfig(name)).unwrap();
        other.clusters[0].name = name.into();
        let context = other.contexts[0].context.as_mut().unwrap();
        (context.cluster, context.user) = (name.into(), Some(name.into()));
        other.auth_infos[0].name = name.into();
        self.with_kubeconfig(|known| {
            known.clusters.append(&mut other.clusters);
            known.auth_infos.append(&mut other.auth_infos);
            known.contexts.append(&mut other.contexts);
        });
        server
    }

    /// Adds a context that leads to the cluster of another one, as another user.
    pub fn add_context_to_same_cluster(&self, context: &str, name: &str) {
        self.with_kubeconfig(|known| {
            let mut user = known.auth_infos[0].clone();
            user.name = name.into();
            known.auth_infos.push(user);
            let mut context = known.contexts.iter().find(|known| known.name == context).unwrap().clone();
            context.name = name.into();
            context.context.as_mut().unwrap().user = Some(name.into());
            known.contexts.push(context);
        });
    }

    /// Gives a context another name.
    pub fn rename_context(&self, from: &str, to: &str) {
        self.with_kubeconfig(|known| {
            known
                .contexts
                .iter_mut()
                .filter(|context| context.name == from)
                .for_each(|context| context.name = to.into());
        });
    }

    /// Lets a context lead to an address.
    pub fn point_context_at(&self, context: &str, address: SocketAddr) {
        self.with_kubeconfig(|known| {
            let mut cluster = known.clusters[0].clone();
            cluster.name = format!("at-{context}");
            cluster.cluster.as_mut().unwrap().server = Some(format!("http://{address}"));
            let known_context = known.contexts.iter_mut().find(|known| known.name == context).unwrap();
            known_context.context.as_mut().unwrap().cluster.clone_from(&cluster.name);
            known.clusters.push(cluster);
        });
    }

    /// Takes a context out of the kubeconfig.
    pub fn remove_context(&self, name: &str) {
        self.with_kubeconfig(|known| known.contexts.retain(|context| context.name != name));
    }

    fn with_kubeconfig(&self, change: impl FnOnce(&mut Kubeconfig)) {
        let mut kubeconfig = Kubeconfig::read_from(self.home.kubeconfig()).unwrap();
        change(&mut kubeconfig);
        fs::write(self.home.kubeconfig(), serde_yaml::to_string(&kubeconfig).unwrap()).unwrap();
    }

    /// A client of the cluster that is not Dayfly.
    pub async fn client(&self) -> Client {
        self.client_of("sandbox").await
    }

    async fn client_of(&self, context: &str) -> Client {
        clients::client(&self.home.kubeconfig(), context).await
    }

    /// The objects of a kind in a namespace.
    pub async fn objects(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        clients::api(&self.client().await, api_version, kind, Some(namespace))
    }

    /// Merges a patch into an object, as a person does who edits by hand.
    pub async fn edit_by_hand(&self, api_version: &str, kind: &str, namespace: &str, name: &str, patch: Value) {
        let objects = self.objects(api_version, kind, namespace).await;
        objects.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Sets the replicas of a deployment by hand.
    pub async fn scale_by_hand(&self, namespace: &str, name: &str, replicas: u32) {
        let patch = json!({"spec": {"replicas": replicas}});
        self.edit_by_hand("apps/v1", "Deployment", namespace, name, patch).await;
    }

    /// The replicas that a deployment asks for.
    pub async fn replicas(&self, namespace: &str, name: &str) -> Value {
        let deployment = self.objects("apps/v1", "Deployment", namespace).await.get(name).await.unwrap();
        deployment.data["spec"]["replicas"].clone()
    }

    /// Whether a namespace is there.
    pub async fn has_namespace(&self, name: &str) -> bool {
        self.has_namespace_on("sandbox", name).await
    }

    /// Whether a namespace is on the cluster of a context.
    pub async fn has_namespace_on(&self, context: &str, name: &str) -> bool {
        let namespaces: Api<Namespace> = Api::all(self.client_of(context).await);
        namespaces.get_opt(name).await.unwrap().is_some()
    }

    /// How many inventories are on the cluster of a context.
    pub async fn inventories_on(&self, context: &str) -> usize {
        let maps: Api<ConfigMap> = Api::namespaced(self.client_of(context).await, SYSTEM_NAMESPACE);
        maps.list(&ListParams::default().labels(inventory::SELECTOR)).await.unwrap().items.len()
    }
}
