use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use contract::annotation;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::{Body, ClientBuilder, DynBody};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn};

use super::*;
use crate::networks::Count;

/// What an API server answers: a status and a body, or nothing ever.
#[derive(Clone)]
enum Reply {
    Whole(u16, String),
    /// A watch that stays open after these events.
    Watch(Vec<Value>),
    Hang,
}

/// Answers each request by the first route whose text stands in `METHOD path?query body`; a route with
/// several replies gives one after the other, and the last one forever.
#[derive(Clone)]
struct ApiServer(Arc<Mutex<Vec<Route>>>);

type Route = (&'static str, VecDeque<Reply>);

impl ApiServer {
    fn new(routes: impl IntoIterator<Item = (&'static str, Vec<Reply>)>) -> Self {
        let routes = routes.into_iter().map(|(route, replies)| (route, replies.into()));
        Self(Arc::new(Mutex::new(routes.collect())))
    }

    fn reply(&self, request: &str) -> Reply {
        let mut routes = self.0.lock().unwrap();
        let found = routes.iter_mut().find(|(route, _)| request.contains(route));
        let (_, replies) = found.unwrap_or_else(|| panic!("no route for {request}"));
        if replies.len() > 1 { replies.pop_front().unwrap() } else { replies.front().unwrap().clone() }
    }

    fn source(&self, namespace: Option<&str>) -> (ClusterSource, Arc<NetworkStore>) {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let text = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
                let (status, body) = match server.reply(&text) {
                    Reply::Whole(status, text) => (status, whole(text)),
                    Reply::Watch(events) => (200, open(&events)),
                    Reply::Hang => std::future::pending().await,
                };
                let response: Response<Box<DynBody>> = Response::builder().status(status).body(body).unwrap();
                Ok::<_, BoxError>(response)
            }
        });
        let store = Arc::new(NetworkStore::default());
        let client =
            ClientBuilder::new(service, "default").with_layer(&SignOfLife(Arc::clone(&store))).build();
        let keys = vec![annotation::RESOURCE_NAME.to_owned()];
        (ClusterSource::new(client, namespace.map(str::to_owned), keys, Arc::clone(&store)), store)
    }
}

fn whole(text: String) -> Box<DynBody> {
    let body: BoxBody<_, BoxError> = Full::from(text).map_err(|never| match never {}).boxed();
    Box::new(body)
}

fn open(events: &[Value]) -> Box<DynBody> {
    let lines: Vec<_> =
        events.iter().map(|event| Ok::<_, BoxError>(http_body_frame(format!("{event}\n")))).collect();
    Box::new(StreamBody::new(stream::iter(lines).chain(stream::pending())))
}

fn http_body_frame(line: String) -> hyper::body::Frame<axum::body::Bytes> {
    hyper::body::Frame::data(line.into())
}

fn nad(name: &str, resource: &str) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": {
            "name": name,
            "namespace": "default",
            "resourceVersion": "5",
            "annotations": {(annotation::RESOURCE_NAME): resource},
        },
    })
}

fn list(next: &str, nads: &[Value]) -> Reply {
    let list = json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadataList",
        "metadata": {"resourceVersion": "9", "continue": next},
        "items": nads,
    });
    Reply::Whole(200, list.to_string())
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message});
    Reply::Whole(code, status.to_string())
}

fn allowed(allowed: bool) -> Reply {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "metadata": {}, "spec": {}, "status": {"allowed": allowed}});
    Reply::Whole(201, review.to_string())
}

const REVIEWS: &str = "selfsubjectaccessreviews";
const WATCHES: &str = "watch=true";
const LISTS: &str = "GET /apis/k8s.cni.cncf.io/v1/network-attachment-definitions?&limit=100 ";

fn known(store: &NetworkStore, name: &str) -> Option<String> {
    let found = store.get(&NadName::new("default", name).unwrap());
    Some(match found.known()? {
        Network::Valid(requirements) => requirements.resources.first().unwrap().to_string(),
        Network::Invalid(_) => "invalid".to_owned(),
    })
}

/// With time that stands still this long is enough for all that is due.
async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn pages_and_events_arrive_in_the_store() {
    let events = vec![
        event("ADDED", &nad("four", "a.b/four")),
        event("MODIFIED", &nad("one", "a.b/other")),
        event("MODIFIED", &nad("two", "no resource")),
        event("DELETED", &nad("three", "a.b/three")),
        event(
            "BOOKMARK",
            &json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"resourceVersion": "12"}}),
        ),
    ];
    let server = ApiServer::new([
        (REVIEWS, vec![allowed(true)]),
        (WATCHES, vec![Reply::Watch(events)]),
        ("continue=next", vec![list("", &[nad("three", "a.b/three")])]),
        (LISTS, vec![list("next", &[nad("one", "a.b/one"), nad("two", "a.b/two")])]),
    ]);
    let (source, store) = server.source(None);
    tokio::spawn(source.run());
    settle().await;
    assert!(store.is_listed());
    assert_eq!(store.count(), Count { valid: 2, invalid: 1 });
    let found = ["one", "two", "three", "four"].map(|name| known(&store, name));
    assert_eq!(found, [Some("a.b/other".into()), Some("invalid".into()), None, Some("a.b/four".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_named_until_it_is_granted() {
    // Once for get, list and watch; then all is well.
    let answers = [true, true, false, true].map(allowed).to_vec();
    let server = ApiServer::new([
        (REVIEWS, answers),
        (WATCHES, vec![Reply::Watch(Vec::new())]),
        (LISTS, vec![list("", &[])]),
    ]);
    let (source, store) = server.source(None);
    tokio::spawn(source.run());
    settle().await;
    let problem = "not allowed to watch network-attachment-definitions.k8s.cni.cncf.io in all namespaces: grant \
                   \"watch\" on them to this program's ServiceAccount or user with a ClusterRole";
    assert_eq!((store.health().problem().as_deref(), store.is_listed()), (Some(problem), false));
    sleep(Duration::from_secs(5)).await;
    assert_eq!((store.health().problem(), store.is_listed()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_question_for_permissions_that_fails_is_told_as_that() {
    let server = ApiServer::new([(REVIEWS, vec![status(500, "InternalError", "etcd is away")])]);
    let (source, store) = server.source(None);
    tokio::spawn(source.run());
    settle().await;
    let problem = "cannot ask for permissions on network-attachment-definitions.k8s.cni.cncf.io in all \
                   namespaces: the API server does not answer: etcd is away";
    assert_eq!(store.health().problem().as_deref(), Some(problem));
}

#[tokio::test(start_paused = true)]
async fn one_namespace_is_watched_where_one_is_named() {
    let server = ApiServer::new([
        (REVIEWS, vec![status(403, "Forbidden", "nobody may ask"), allowed(false)]),
        (WATCHES, vec![Reply::Watch(Vec::new())]),
        ("GET /apis/k8s.cni.cncf.io/v1/namespaces/vms/network-attachment-definitions?", vec![list("", &[])]),
    ]);
    let (source, store) = server.source(Some("vms"));
    tokio::spawn(source.run());
    settle().await;
    assert!(store.is_listed());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_leads_to_a_new_list() {
    let too_old = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 9 (12)", "reason": "Expired", "code": 410});
    let server = ApiServer::new([
        (REVIEWS, vec![allowed(true)]),
        (WATCHES, vec![Reply::Watch(vec![event("ERROR", &too_old)]), Reply::Watch(Vec::new())]),
        (LISTS, vec![list("", &[nad("old", "a.b/c")]), list("", &[nad("new", "a.b/c")])]),
    ]);
    let (source, store) = server.source(None);
    tokio::spawn(source.run());
    settle().await;
    assert_eq!((known(&store, "old"), known(&store, "new")), (None, Some("a.b/c".into())));
    assert_eq!(store.health().problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_is_given_up_and_tried_again() {
    let server = ApiServer::new([
        (REVIEWS, vec![allowed(true)]),
        (WATCHES, vec![Reply::Watch(Vec::new())]),
        (LISTS, vec![Reply::Hang, list("", &[nad("one", "a.b/c")])]),
    ]);
    let (source, store) = server.source(None);
    let start = Instant::now();
    tokio::spawn(source.run());
    while !store.is_listed() {
        settle().await;
    }
    assert!((90..180).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_known_while_the_api_server_is_away() {
    let server = ApiServer::new([
        (REVIEWS, vec![allowed(true)]),
        (WATCHES, vec![status(503, "ServiceUnavailable", "shutting down")]),
        (LISTS, vec![list("", &[nad("one", "a.b/c")])]),
    ]);
    let (source, store) = server.source(None);
    tokio::spawn(source.run());
    sleep(Duration::from_secs(600)).await;
    let problem = "cannot watch network-attachment-definitions.k8s.cni.cncf.io in all namespaces: the API server \
                   does not answer: shutting down";
    assert_eq!(store.health().problem().as_deref(), Some(problem));
    assert_eq!(known(&store, "one").as_deref(), Some("a.b/c"));
}

#[rstest]
#[case::there(Reply::Whole(200, nad("one", "a.b/c").to_string()), "there")]
#[case::missing(status(404, "NotFound", "network-attachment-definitions \"one\" not found"), "missing")]
#[case::no_such_kind(
    Reply::Whole(404, "404 page not found\n".to_owned()),
    "cannot get network-attachment-definitions.k8s.cni.cncf.io in namespace default: the cluster does not know \
     them: install Multus, or its CustomResourceDefinition alone"
)]
#[case::forbidden(
    status(403, "Forbidden", "no"),
    "not allowed to get network-attachment-definitions.k8s.cni.cncf.io in namespace default (the API server says: \
     no): grant \"get\" on them to this program's ServiceAccount or user with a Role in that namespace"
)]
#[case::unauthorized(
    status(401, "Unauthorized", "Unauthorized"),
    "cannot get network-attachment-definitions.k8s.cni.cncf.io in namespace default: the API server does not \
     accept our credentials: Unauthorized: see the ServiceAccount's token or the kubeconfig"
)]
#[case::busy(
    status(429, "TooManyRequests", "too many"),
    "cannot get network-attachment-definitions.k8s.cni.cncf.io in namespace default: the API server does not \
     answer: too many"
)]
#[tokio::test]
async fn a_live_look_up_tells_missing_from_unknown(#[case] reply: Reply, #[case] expected: &str) {
    let (source, _) = ApiServer::new([("GET ", vec![reply])]).source(None);
    let live = source.live_lookup(LiveMetrics::default());
    let nad = NadName::new("default", "one").unwrap();
    let found = match live.look_up([nad.clone()].into(), Duration::MAX, None).await.remove(&nad).unwrap() {
        Lookup::Known(network) => {
            assert!(matches!(*network, Network::Valid(_)));
            "there".to_owned()
        }
        Lookup::Missing => "missing".to_owned(),
        Lookup::Unavailable(reason) => reason.to_string(),
    };
    assert_eq!(found, expected);
}
