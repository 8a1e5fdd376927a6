//! A web server for one page and one report.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Serves the built page with the test's script in it, until its report has come.
pub(crate) struct Server {
    pub(crate) address: String,
    report: Receiver<Value>,
}

/// What every connection needs.
#[derive(Clone)]
struct Site {
    folder: PathBuf,
    jobs: String,
    report: Sender<Value>,
}

/// Listens to the console, since a browser's own can be heard in ways of its own only.
const HEAD: &str = "<script>
window.saidOnTheConsole = [];
for (const kind of ['log', 'info', 'warn', 'error', 'debug'])
  console[kind] = (...words) => window.saidOnTheConsole.push(kind + ': ' + words.join(' '));
addEventListener('error', (event) => window.saidOnTheConsole.push('error: ' + event.message));
addEventListener('unhandledrejection', (event) => window.saidOnTheConsole.push('rejected: ' + event.reason));
window.askedJobs = JOBS;
</script>";

/// The same in the worker, which tells the page of it by failing its next call.
const WORKER: &str = "
for (const kind of ['log', 'info', 'warn', 'error', 'debug'])
  console[kind] = (...words) => fetch('/said', { method: 'POST', body: kind + ': ' + words.join(' ') });
";

impl Server {
    /// For the page in `folder`, which does these jobs of `report.js`, `[["name", {…}], …]`.
    pub(crate) fn new(folder: &Path, jobs: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, report) = channel();
        let jobs = Value::String(jobs.to_string()).to_string();
        let site = Site { folder: folder.to_owned(), jobs, report: sender };
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let site = site.clone();
                std::thread::spawn(move || site.answer(connection));
            }
        });
        Self { address, report }
    }

    /// The report, once it has come; what the worker says on its console comes instead of it.
    pub(crate) fn report(&self, patience: std::time::Duration) -> Result<Value, String> {
        let report = self.report.recv_timeout(patience).map_err(|_| format!("no report in {patience:?}"))?;
        match report.get("said") {
            Some(said) => Err(format!("the worker said on the console: {said}")),
            None => Ok(report),
        }
    }
}

impl Site {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let path = request.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/");
        if request.starts_with("POST") {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let report = match path {
                "/report" => serde_json::from_slice(&body).unwrap_or(Value::Null),
                _ => serde_json::json!({ "said": String::from_utf8_lossy(&body) }),
            };
            let _ = self.report.send(report);
            return send(stream, "200 OK", "text/plain", b"");
        }
        match self.file(path) {
            Some((kind, bytes)) => send(stream, "200 OK", kind, &bytes),
            None => send(stream, "404 Not Found", "text/plain", b""),
        }
    }

    fn file(&self, path: &str) -> Option<(&'static str, Vec<u8>)> {
        let text = |path: &str| std::fs::read_to_string(self.folder.join(path)).ok();
        Some(match path {
            "/" => {
                let head = format!("<head>{}", HEAD.replace("JOBS", &self.jobs));
                let script = "<script type=\"module\" src=\"report.js\"></script></body>";
                let page = text("index.html")?.replacen("<head>", &head, 1).replace("</body>", script);
                ("text/html", page.into_bytes())
            }
            "/report.js" => ("text/javascript", include_bytes!("report.js").to_vec()),
            "/worker.js" => ("text/javascript", format!("{WORKER}{}", text("worker.js")?).into_bytes()),
            path => {
                let kind = match path.rsplit('.').next() {
                    Some("html") => "text/html",
                    Some("js") => "text/javascript",
                    Some("css") => "text/css",
                    Some("wasm") => "application/wasm",
                    _ => "application/octet-stream",
                };
                (kind, std::fs::read(self.folder.join(&path[1..])).ok()?)
            }
        })
    }
}

fn send(mut stream: TcpStream, status: &str, kind: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}cache-control: no-store\r\nconnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(body)
}
