//! Something that is done all the time, while a test does something else to the parts.

use super::control_plane::client;
use super::{Pod, Sandbox, StoredPod};
use k8s_openapi::api::core::v1;
use kube::Api;
use kube::api::PostParams;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// How long one time may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// How long [`Load::wait_for_more`] may take.
const MORE_WITHIN: Duration = Duration::from_secs(60);

/// Clients that do a thing one after the other, on a thread of their own.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Creates `pod` with so many clients, as administrator; each time `devices` must be on `compute`. The API
    /// server does everything but store it (a dry run).
    pub fn of_pods(sandbox: &Sandbox, pod: &Pod, devices: &str, clients: usize) -> Self {
        let pod = pod.in_namespace(sandbox.namespace());
        let pod: v1::Pod = serde_json::from_value(pod.value().clone()).unwrap();
        let kubeconfig = sandbox.control_plane().admin_kubeconfig();
        let namespace = sandbox.namespace().to_owned();
        let devices = devices.to_owned();
        let connect = move || {
            let (kubeconfig, namespace) = (kubeconfig.clone(), namespace.clone());
            async move { Api::<v1::Pod>::namespaced(client(&kubeconfig).await, &namespace) }
        };
        Self::start(clients, connect, move |pods: Api<v1::Pod>| {
            let (pod, devices) = (pod.clone(), devices.clone());
            async move {
                let parameters = PostParams { dry_run: true, ..PostParams::default() };
                let stored = pods.create(&parameters, &pod).await.map_err(|error| format!("{error:?}"))?;
                let found = StoredPod::from(stored).devices("compute");
                if found == devices {
                    Ok(())
                } else {
                    Err(format!("stored with '{found}' instead of '{devices}'"))
                }
            }
        })
    }

    /// Does `act` with so many clients, each with what `connect` gave it.
    pub fn start<C, Connecting, Acting>(
        clients: usize,
        connect: impl Fn() -> Connecting + Send + 'static,
        act: impl Fn(C) -> Acting + Send + Sync + 'static,
    ) -> Self
    where
        C: Clone + Send + 'static,
        Connecting: Future<Output = C>,
        Acting: Future<Output = Result<(), String>> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let (work, act) = (Arc::clone(&shared), Arc::new(act));
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut running = JoinSet::new();
                for _ in 0..clients {
                    let (client, act, work) = (connect().await, Arc::clone(&act), Arc::clone(&work));
                    running.spawn(async move {
                        while !work.stop.load(Ordering::SeqCst) {
                            work.once(act(client.clone())).await;
                        }
                    });
                }
                running.join_all().await;
            });
        });
        Self { shared, thread: Some(thread) }
    }

    /// How often it went well so far.
    pub fn done(&self) -> usize {
        self.shared.done.load(Ordering::SeqCst)
    }

    /// Waits until it went well so many times more.
    pub fn wait_for_more(&self, times: usize) {
        let (wanted, deadline) = (self.done() + times, Instant::now() + MORE_WITHIN);
        while self.done() < wanted {
            let failures = self.shared.failures.lock();
            let last = failures.last();
            assert!(Instant::now() < deadline, "not {times} times more in {MORE_WITHIN:?}: {last:?}");
            drop(failures);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it. Gives all failures.
    pub fn stop(mut self) -> Vec<String> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.shared.failures.lock().clone()
    }
}

impl Shared {
    async fn once(&self, act: impl Future<Output = Result<(), String>>) {
        let failure = match tokio::time::timeout(ANSWERED_WITHIN, act).await {
            Ok(Ok(())) => {
                self.done.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Ok(Err(failure)) => failure,
            Err(_) => format!("no answer in {ANSWERED_WITHIN:?}"),
        };
        self.failures.lock().push(failure);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}
