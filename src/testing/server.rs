//! The HTTP side: a thread of its own with a runtime of its own.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::{to_bytes, Body, Bytes};
use axum::extract::{ConnectInfo, Request, State as Injected};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::Router;
use opentelemetry::Context;
use tokio::sync::oneshot;
use tracing::subscriber::NoSubscriber;
use uuid::Uuid;

use super::body::{self, Decoded, Target};
use super::connection::{Doorway, Hangup};
use super::faults::{Action, Fault};
use super::run::ReceivedRequest;
use super::state::{Admitted, Shared};

/// What the hosted service says of itself, as far as clients look at it.
const INFO: &str = r#"{"version":"0.0.0-local","batch_ingest_config":{"use_multipart_endpoint":true,"scale_up_qsize_trigger":1000,"scale_up_nthreads_limit":16,"scale_down_nempty_trigger":4,"size_limit":100,"size_limit_bytes":20971520},"instance_flags":{"zstd_compression_enabled":true}}"#;

/// A running server; dropping it stops it and waits for its thread.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(port: u16, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            // The application under test may have a subscriber and a tracer provider for the whole process.
            let _silent = tracing::subscriber::set_default(NoSubscriber::new());
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("local-langsmith".to_owned()).spawn(serve)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let routes = Router::new().fallback(handle).with_state(shared).into_make_service_with_connect_info::<Hangup>();
    let _ = axum::serve(Doorway(listener), routes).await;
}

async fn handle(
    Injected(shared): Injected<Arc<Shared>>,
    ConnectInfo(hangup): ConnectInfo<Hangup>,
    request: Request,
) -> Response {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let exchange = Exchange { shared, hangup, request: describe(at, &head) };
    let path = head.uri.path();
    // Self-hosted servers have the same routes below a prefix.
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    if path == "/info" && head.method == Method::GET {
        return exchange.info().await;
    }
    match target(&head.method, path) {
        Some(target) => exchange.ingest(target, &head, body).await,
        None => exchange.unknown(),
    }
}

fn target(method: &Method, path: &str) -> Option<Target> {
    if method == Method::POST {
        return match path {
            "/runs/multipart" => Some(Target::Multipart),
            "/runs/batch" => Some(Target::Batch),
            "/runs" => Some(Target::CreateRun),
            _ => None,
        };
    }
    let id = path.strip_prefix("/runs/").filter(|_| method == Method::PATCH)?;
    Uuid::try_parse(id).ok().map(Target::UpdateRun)
}

fn describe(at: Instant, head: &Parts) -> ReceivedRequest {
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    ReceivedRequest {
        at,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        headers: headers.collect(),
        status: None,
        body: Arc::default(),
        plain: Arc::default(),
        run_ids: Vec::new(),
    }
}

/// One request on its way to an answer.
struct Exchange {
    shared: Arc<Shared>,
    hangup: Hangup,
    request: ReceivedRequest,
}

impl Exchange {
    fn unknown(self) -> Response {
        let mut state = self.shared.lock();
        let number = state.record(self.request);
        state.answered(number, StatusCode::NOT_FOUND, &[]);
        plain_answer(StatusCode::NOT_FOUND)
    }

    async fn info(self) -> Response {
        let (number, fault) = {
            let mut state = self.shared.lock();
            (state.record(self.request), state.info_script.next())
        };
        tokio::time::sleep(fault.delay).await;
        let status = match fault.action {
            Action::Take => StatusCode::OK,
            Action::Answer(status) => status,
            Action::ResetBeforeBody => return reset(&self.hangup),
            Action::CloseBeforeAnswer | Action::CloseAfterStoring => return close(&self.hangup),
        };
        self.shared.lock().answered(number, status, &[]);
        let normal = if status.is_success() { Body::from(INFO) } else { detail(status) };
        answer(status, &fault, normal)
    }

    async fn ingest(mut self, target: Target, head: &Parts, body: Body) -> Response {
        let (fault, latency) = {
            let mut state = self.shared.lock();
            (state.ingest_script.next(), state.latency)
        };
        let wait = latency + fault.delay;
        if fault.action == Action::ResetBeforeBody {
            self.shared.lock().record(self.request);
            tokio::time::sleep(wait).await;
            return reset(&self.hangup);
        }
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            // The client hung up in the middle of its own request.
            self.shared.lock().record(self.request);
            return close(&self.hangup);
        };
        let decoded = self.read(target, head, &body).await;
        let (number, admitted) = self.enter(decoded, &fault, wait);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if fault.hangs_up() {
            return close(&self.hangup);
        }
        let Admitted { status, posts, fault: reason } = admitted;
        if !wait.is_zero() {
            self.shared.lock().answered(number, status, &posts);
        }
        let normal = reason.map_or_else(|| detail(status), |reason| message(&reason));
        answer(status, &fault, normal)
    }

    /// Reads the body into the request's description and into operations.
    async fn read(&mut self, target: Target, head: &Parts, body: &Bytes) -> Result<Decoded, String> {
        self.request.body = body.as_ref().into();
        let plain = body::decompress(&head.headers, body)?;
        self.request.plain = plain.as_ref().into();
        let decoded = body::decode(target, &head.headers, body, &plain).await?;
        let mut seen = HashSet::new();
        let ids = decoded.operations.iter().map(|operation| operation.id);
        self.request.run_ids = ids.filter(|id| seen.insert(*id)).map(|id| id.to_string()).collect();
        Ok(decoded)
    }

    /// Notes the request down and takes its runs, if it is to be answered so.
    fn enter(&self, decoded: Result<Decoded, String>, fault: &Fault, wait: Duration) -> (u64, Admitted) {
        let mut state = self.shared.lock();
        let number = state.record(self.request.clone());
        let subject = format!("request {number} ({} {})", self.request.method, self.request.path);
        let complaints = match &decoded {
            Ok(decoded) => &decoded.complaints[..],
            Err(malformed) => std::slice::from_ref(malformed),
        };
        state.complain(complaints.iter().map(|what| format!("{subject}: {what}")));
        let scripted = match fault.action {
            Action::Answer(status) => Some(status),
            _ => None,
        };
        let taken = match fault.action {
            Action::Answer(status) => status.is_success() || status == StatusCode::CONFLICT,
            action => action != Action::CloseBeforeAnswer,
        };
        let mut admitted = match decoded {
            Ok(decoded) if taken => state.admit(decoded),
            Ok(_) => Admitted::nothing(StatusCode::ACCEPTED, None),
            Err(reason) => Admitted::nothing(StatusCode::BAD_REQUEST, Some(reason)),
        };
        admitted.status = scripted.unwrap_or(admitted.status);
        // With no wait it counts as answered under the same lock: a test that sees the run sees the status too.
        if wait.is_zero() && !fault.hangs_up() {
            state.answered(number, admitted.status, &admitted.posts);
        }
        drop(state);
        self.shared.notify();
        (number, admitted)
    }
}

impl Admitted {
    fn nothing(status: StatusCode, fault: Option<String>) -> Self {
        Self { status, posts: Vec::new(), fault }
    }
}

fn answer(status: StatusCode, fault: &Fault, normal: Body) -> Response {
    let body = fault.body.clone().map_or(normal, Body::from);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    for (name, value) in &fault.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn plain_answer(status: StatusCode) -> Response {
    answer(status, &Fault::ok(), detail(status))
}

fn detail(status: StatusCode) -> Body {
    message(status.canonical_reason().unwrap_or("scripted"))
}

fn message(detail: &str) -> Body {
    Body::from(serde_json::json!({ "detail": detail }).to_string())
}

/// The response is never seen: writing it is what fails.
fn close(hangup: &Hangup) -> Response {
    hangup.close();
    Response::new(Body::empty())
}

fn reset(hangup: &Hangup) -> Response {
    hangup.reset();
    Response::new(Body::empty())
}
