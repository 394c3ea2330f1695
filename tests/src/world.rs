//! A whole platform in one process: a bare repository, the embedded Kubernetes API, and reconcilers on demand.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dayfly::home::PlatformHome;
use dayfly_calls::Calls;
use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::reconcile::Reconciler;
use dayfly_git::{Commit, Repository, Writer};
use dayfly_lifecycle::ledger::{LedgerFact, Signer};
use dayfly_local::apiserver::{ApiServer, Config, Handle};
use dayfly_model::digest::Revision;
use dayfly_model::scope::SYSTEM_NAMESPACE;
use dayfly_plan::inventory;
use jiff::{SignedDuration, Timestamp};
use kube::api::{ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

/// The platform that ships.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// When a world begins.
pub const BEGINNING: &str = "2026-03-02T09:00:00Z";

/// A platform with its cluster, in a folder that goes with it.
pub struct World {
    home: PlatformHome,
    server: Option<Handle>,
    address: SocketAddr,
    signer: Signer,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl World {
    /// The platform that ships, seeded and approved, beside an empty cluster.
    pub async fn of_the_sample() -> Self {
        let files = ["apps", "catalog", "environments", "policies"].map(|folder| (shipped().join(folder), folder));
        let folder = tempfile::tempdir().unwrap();
        for (from, name) in files {
            copy(&from, &folder.path().join(name));
        }
        Self::of(folder).await
    }

    /// A platform of these files.
    pub async fn of_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self::of(folder).await
    }

    async fn of(folder: tempfile::TempDir) -> Self {
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
        let world = Self { home, server: Some(server), address, signer, now, _folder: folder };
        world.approve();
        world
    }

    /// The moment it is in this world.
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

    /// Takes the API server away.
    pub async fn server_stops(&mut self) {
        self.server.take().expect("the API server runs").shutdown().await;
    }

    /// Brings the API server back where it was, with what it had.
    pub async fn server_starts(&mut self) {
        let config = Config { addr: self.address, ..Config::new(self.home.state().join("kubernetes")) };
        self.server = Some(ApiServer::start(config).await.unwrap());
    }

    /// Where things stand.
    pub fn home(&self) -> &PlatformHome {
        &self.home
    }

    /// The repository.
    pub fn repository(&self) -> Repository {
        self.home.repository().unwrap()
    }

    /// The tip of the default branch.
    pub fn tip(&self) -> Revision {
        self.repository().tip().unwrap().revision
    }

    /// Another key signs from now on.
    pub fn loses_its_key(&mut self) {
        fs::remove_file(self.home.state().join("ledger.key")).unwrap();
        self.signer = self.home.signer_or_new(None).unwrap();
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
        let commit = Commit {
            branch: &tip.branch,
            parent: Some(tip.revision),
            is_new_branch: false,
            edits: &edits,
            message: "a change\n",
            time: self.now,
        };
        Writer::open(self.repository().path()).unwrap().commit(&commit).unwrap()
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
        self.reconciler_counting(Calls::default())
    }

    /// The same, with its calls counted elsewhere.
    pub fn reconciler_counting(&self, calls: Calls) -> Reconciler {
        let target = ClusterTarget { kubeconfig: Some(self.home.kubeconfig()), context: None };
        Reconciler::with_calls(self.repository(), self.signer.verifier(), target, calls).at_stated_times(true)
    }

    /// The same on another cluster.
    pub fn reconciler_on(&self, target: ClusterTarget) -> Reconciler {
        Reconciler::new(self.repository(), self.signer.verifier(), target).at_stated_times(true)
    }

    /// One more empty cluster, and a context of that name for it.
    pub async fn another_cluster(&self, name: &str) -> Handle {
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

    /// A context for a cluster that another one names, too: by another user.
    pub fn same_cluster_as(&self, context: &str, name: &str) {
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

    /// A context that leads to this address.
    pub fn leads_to(&self, context: &str, address: SocketAddr) {
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
    pub fn lose_context(&self, name: &str) {
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
        let kubeconfig = Kubeconfig::read_from(self.home.kubeconfig()).unwrap();
        let options = KubeConfigOptions { context: Some(context.into()), ..KubeConfigOptions::default() };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// The objects of a kind in a namespace.
    pub async fn objects(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client().await, namespace, &resource)
    }

    /// Whether a namespace is there.
    pub async fn has_namespace(&self, name: &str) -> bool {
        self.has_namespace_on("sandbox", name).await
    }

    /// Whether a namespace is on the cluster of a context.
    pub async fn has_namespace_on(&self, context: &str, name: &str) -> bool {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client_of(context).await);
        namespaces.get_opt(name).await.unwrap().is_some()
    }

    /// How many inventories are on the cluster of a context.
    pub async fn inventories_on(&self, context: &str) -> usize {
        let client = self.client_of(context).await;
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client, SYSTEM_NAMESPACE);
        maps.list(&kube::api::ListParams::default().labels(inventory::SELECTOR)).await.unwrap().items.len()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let to = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &to)
        } else {
            let _ = fs::copy(item.path(), to).unwrap();
        }
    }
}
